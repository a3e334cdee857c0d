import { describe, expect, it } from 'vitest'
import { openEngines } from './engines.js'
import { simulate } from './simulate.js'

const FIRST = Number(process.env['DELTAIC_SIMULATION_FIRST'] ?? 1)
const SEEDS = Number(process.env['DELTAIC_SIMULATION_SEEDS'] ?? 200)
const REPORT_EVERY = 100

/** Runs one of two halves of the seeds: each has a file of tests, so that two processes share them. */
export async function simulateHalf(half: 0 | 1): Promise<void> {
  const engines = await openEngines()
  const middle = FIRST + Math.ceil(SEEDS / 2)
  const [start, end] = half === 0 ? [FIRST, middle] : [middle, FIRST + SEEDS]

  describe('several nodes on one table, whatever breaks', () => {
    it('lose no acknowledged row, double none, and leave a table whose every version is what was done to it', {
      timeout: 60_000 + SEEDS * 30_000,
    }, async (context) => {
      if (start === end) context.skip('the other half has all of the seeds')
      const failed: string[] = []
      const sum = { versions: 0, rows: 0, storeCalls: 0, processes: 0 }
      for (let seed = start; seed < end; seed++) {
        const { wrong, versions, rows, storeCalls, processes } = await simulate(seed, engines)
        sum.versions += versions
        sum.rows += rows
        sum.storeCalls += storeCalls
        sum.processes += processes
        if (wrong.length > 0) {
          failed.push(`seed ${seed}: ${wrong.join('\n  ')}\n  again: npm run simulate -- --seed ${seed}`)
          console.log(failed.at(-1))
        }
        const done = seed + 1 - start
        if (done % REPORT_EVERY === 0) console.log(`${done} of ${end - start} seeds, ${failed.length} failed`)
      }
      console.log(`simulated seeds ${start} to ${end - 1}: ${JSON.stringify(sum)}`)
      expect(failed).toEqual([])
    })
  })
}
