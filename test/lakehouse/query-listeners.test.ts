import { getEventListeners } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openLakehouse } from '../../src/index.js'

const folder = mkdtempSync(join(tmpdir(), 'deltaic-listeners-'))
const lake = await openLakehouse(join(folder, 'lake'))
const { signal } = new AbortController()
const listeners = () => getEventListeners(signal, 'abort').length
beforeAll(async () => {
  await lake.sql('CREATE TABLE t (id INT, part INT) PARTITIONED BY (part)')
  for (let part = 0; part < 3; part++) await lake.sql(`INSERT INTO t SELECT range, ${part} FROM range(10)`)
})
afterAll(async () => {
  await lake.close()
  rmSync(folder, { recursive: true, force: true })
})

it.each(['json', 'ndjson', 'csv', 'arrow', 'parquet', 'table'] as const)(
  'a signal that many queries share has no listener left of any (%s)',
  async (format) => {
    for (let id = 0; id < 15; id++) {
      const result = await lake.sql(`SELECT * FROM t WHERE part = ${id % 3} AND id = ${id}`, { signal })
      for await (const _ of result.bytes(format)) expect(listeners()).toBeLessThan(5)
    }
    expect(listeners()).toBe(0)
  },
)

it('queries that run side by side, or are left unread, leave none either', async () => {
  const one = async (id: number) => {
    const result = await lake.sql(`SELECT * FROM t a JOIN t b USING (id) WHERE a.part = 1 AND id = ${id}`, { signal })
    if (id % 2 === 0) return result.close()
    for await (const _ of result.batches()) break
  }
  await Promise.all(Array.from({ length: 8 }, (_, id) => one(id)))
  expect(listeners()).toBe(0)
})
