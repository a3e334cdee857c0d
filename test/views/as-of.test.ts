import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Lakehouse, openLakehouse, seededRandom } from '../../src/index.js'

const TIMES = [
  '2025-12-31T00:00:00Z',
  '2026-01-01T00:00:00Z',
  '2026-01-01T05:30:00.5Z',
  '2026-01-01T07:00:00Z',
  '2026-02-01T00:00:00Z',
]
const DEFINITION =
  'SELECT url, count(*) AS n, sum(x) AS x, max(x) AS top, count(DISTINCT x) AS kinds FROM hits GROUP BY url HAVING count(*) > 1'
let lake: Lakehouse
let versions: number[]

beforeAll(async () => {
  lake = await openLakehouse('memory:as-of')
  await lake.sql(
    `CREATE TABLE hits (url STRING, viewed_at TIMESTAMP, x INT) TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')`,
  )
  const random = seededRandom(7)
  const insert = async (rows: number) => {
    const values = Array.from({ length: rows }, () => {
      const minute = Math.floor(random.next() * 720)
      return `('/${Math.floor(random.next() * 5)}', TIMESTAMP '2026-01-01 00:00:00' + INTERVAL ${minute} MINUTE, ${Math.floor(random.next() * 9)})`
    })
    await lake.sql(`INSERT INTO hits VALUES ${values.join(', ')}, ('/late', NULL, 1)`)
  }
  await insert(40)
  await lake.createView('per_url', {
    as: DEFINITION,
    properties: { 'deltaic.view.asOf': 'viewed_at', 'deltaic.view.bucket': '1 hour' },
  })
  await lake.createView('recent', {
    as: 'SELECT url, viewed_at FROM hits WHERE x > 3',
    properties: { 'deltaic.view.asOf': 'viewed_at' },
  })
  versions = [1]
  for (const step of [
    () => insert(20),
    () => lake.sql(`DELETE FROM hits WHERE x = 8`),
    () => lake.refreshView('per_url'),
    () => insert(10),
  ]) {
    await step()
    versions.push((await lake.table('hits').snapshot()).version)
  }
})
afterAll(() => lake.close())

const rows = async (text: string) =>
  (await (await lake.sql(text)).rows())
    .map((row) => JSON.stringify(row, (_, v: unknown) => (typeof v === 'bigint' ? Number(v) : v)))
    .sort()

describe('as_of', () => {
  it.each(TIMES)('is the definition over what had happened by %s, as known now and at each version', async (time) => {
    const until = `WHERE viewed_at <= TIMESTAMPTZ '${time}'`
    const wanted = (from: string) => rows(DEFINITION.replace('FROM hits', `FROM ${from} ${until}`))
    expect(await rows(`SELECT * FROM as_of('per_url', TIMESTAMP '${time}')`)).toEqual(await wanted('hits'))
    for (const known of versions)
      expect(await rows(`SELECT * FROM as_of('per_url', '${time}', known => ${known}) AS v`), `known ${known}`).toEqual(
        await wanted(`hits VERSION AS OF ${known}`),
      )
    expect(await rows(`SELECT url FROM as_of('recent', '${time}')`)).toEqual(
      await rows(`SELECT url FROM hits ${until} AND x > 3`),
    )
  })

  it('reads whole buckets from their states, and takes parameters', async () => {
    const result = await lake.sql(`SELECT sum(n)::INT AS n FROM as_of('per_url', $t) WHERE url = '/1'`, {
      params: { t: new Date(TIMES[3] ?? 0) },
    })
    expect(Object.keys(result.versions)).toEqual(expect.arrayContaining(['hits', 'per_url__buckets']))
    await result.close()
  })

  it('is refused for views that were not made for it', async () => {
    await lake.createView('plain', { as: 'SELECT url, count(*) AS n FROM hits GROUP BY url' })
    await expect(lake.sql(`SELECT * FROM as_of('plain', '2026-01-01')`)).rejects.toMatchObject({ code: 'VIEW_INVALID' })
    const made = lake.createView('windowed', {
      as: 'SELECT url, row_number() OVER () AS n FROM hits',
      properties: { 'deltaic.view.asOf': 'viewed_at' },
    })
    await expect(made).rejects.toMatchObject({ code: 'VIEW_INVALID' })
  })
})
