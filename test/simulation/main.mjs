// npm run simulate -- [--seeds N] [--first N] | [--seed N]: runs the simulation over seeds, and names those that fail.
import { parseArgs } from 'node:util'
import { startVitest } from 'vitest/node'

const { values } = parseArgs({
  options: { seeds: { type: 'string', default: '1000' }, first: { type: 'string', default: '1' }, seed: { type: 'string' } },
})
process.env.DELTAIC_SIMULATION_FIRST = values.seed ?? values.first
process.env.DELTAIC_SIMULATION_SEEDS = values.seed === undefined ? values.seeds : '1'
const vitest = await startVitest('test', ['test/simulation/first-seeds.test.ts', 'test/simulation/later-seeds.test.ts'], {
  watch: false,
})
await vitest?.close()
