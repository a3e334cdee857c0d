// Every query of TPC-H and TPC-DS answers as DuckDB does over the Parquet files that the tables were filled from.
// DELTAIC_TPC_SCALE=1 takes the sizes that benchmarks are told in.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Database } from '../../src/engine/database.js'
import { type Lakehouse, openLakehouse } from '../../src/index.js'
import { describeWhen } from '../support/needs.js'
import { peers, writeTpc } from '../support/peers.js'

const SCALE = Number(process.env['DELTAIC_TPC_SCALE'] ?? 0.01)
const MINUTES = 60_000 * Math.max(2, SCALE * 60)

describeWhen(peers.available('tpc'), peers.reason('tpc'), 'the queries of the TPC', () => {
  describe.each(['tpch', 'tpcds'] as const)('%s', (kind) => {
    const folder = mkdtempSync(join(tmpdir(), 'deltaic-tpc-'))
    const count = { tpch: 22, tpcds: 99 }[kind]
    let lake: Lakehouse
    let engine: Database
    let queries: readonly string[]

    beforeAll(async () => {
      await writeTpc(kind, SCALE, folder)
      queries = JSON.parse(readFileSync(join(folder, 'queries.json'), 'utf8')) as string[]
      lake = await openLakehouse(join(folder, 'lake'))
      engine = await Database.open()
      for (const name of readdirSync(folder).filter((file) => file.endsWith('.parquet'))) {
        const [table, file] = [name.replace('.parquet', ''), join(folder, name)]
        await lake.table(table).append(file, { create: true })
        await engine.rows(`CREATE VIEW ${table} AS FROM '${file}'`)
      }
    }, MINUTES)
    afterAll(async () => {
      await lake?.close()
      engine?.close()
      rmSync(folder, { recursive: true, force: true })
    })

    it('has all of its queries', () => expect(queries.length).toBe(count))

    it.each(Array.from({ length: count }, (_, index) => index + 1))('query %i', { timeout: MINUTES }, async (number) => {
      const text = queries[number - 1] ?? ''
      const ours = await (await lake.sql(text)).rows()
      expect(comparable(ours)).toEqual(comparable(await engine.rows(text)))
    })
  })
})

/** Sums of floating-point numbers depend on the order in which threads bring them. */
function comparable(rows: readonly Record<string, unknown>[]): string[] {
  const rounded = (_: string, value: unknown) => {
    if (typeof value === 'bigint') return String(value)
    return typeof value === 'number' ? value.toPrecision(9) : value
  }
  return rows.map((row) => JSON.stringify(Object.values(row), rounded)).sort()
}
