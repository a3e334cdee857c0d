import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Lakehouse, openLakehouse } from '../../src/index.js'

const DEFINITIONS = {
  per_key: 'SELECT k, count(*) AS n, sum(x) AS total FROM t GROUP BY k',
  extremes: 'SELECT day, min(x) AS low, max(x) AS high, count(DISTINCT k) AS kinds FROM t GROUP BY day',
  how_many: 'SELECT count(*) AS n FROM t',
  kept: 'SELECT k, x FROM t WHERE x > 3',
  labelled: 'SELECT u.label, sum(t.x) AS total FROM t JOIN u ON t.day = u.day GROUP BY u.label',
  loosely: 'SELECT t.k, u.label, count(*) AS n FROM t LEFT JOIN u ON t.day = u.day GROUP BY t.k, u.label',
  windowed: 'SELECT k, row_number() OVER (ORDER BY k, x) AS nth FROM t',
  above: 'SELECT n, count(*) AS keys FROM per_key GROUP BY n',
} as const
const names = Object.keys(DEFINITIONS) as readonly (keyof typeof DEFINITIONS)[]

let lake: Lakehouse
beforeAll(async () => {
  lake = await openLakehouse('memory:together')
  await lake.sql(
    `CREATE TABLE t (k STRING, x INT, note STRING, day INT) PARTITIONED BY (day) TBLPROPERTIES ('delta.enableDeletionVectors' = 'true');
     CREATE TABLE u (day INT, label STRING);
     INSERT INTO u VALUES (1, 'one'), (2, 'two');
     INSERT INTO t SELECT 'k' || i % 4, i % 7, 'o', i % 3 FROM range(60) AS r(i)`,
  )
  for (const name of names) await lake.createView(name, { as: DEFINITIONS[name] })
})
afterAll(() => lake.close())

describe('views that are refreshed together', () => {
  it.each([
    "INSERT INTO t VALUES ('k1', 9, 'p', 1), ('new', 5, NULL, 2)",
    "DELETE FROM t WHERE k = 'k2' AND x > 2",
    "UPDATE t SET x = x + 1, k = 'moved' WHERE x = 3",
    "INSERT INTO u VALUES (3, 'three')",
    "UPDATE u SET label = 'uno' WHERE day = 1; DELETE FROM t WHERE day = 2",
  ])('have each the state of their definition after %s', async (statement) => {
    await lake.sql(statement)
    const refreshed = await lake.refreshViews(names)
    expect(refreshed.map(({ view }) => view)).toEqual(names)
    for (const one of refreshed) expect(one).not.toHaveProperty('error')
    for (const name of names) {
      const rows = async (query: string) => {
        const found = await (await lake.sql(`SELECT * FROM (${query}) ORDER BY ALL`, { stale: 'ok' })).rows()
        return JSON.stringify(found, (_, value: unknown) => (typeof value === 'bigint' ? Number(value) : value))
      }
      const definition = DEFINITIONS[name].replace('FROM per_key', `FROM (${DEFINITIONS.per_key})`)
      expect([name, await rows(`SELECT * FROM ${name}`)]).toEqual([name, await rows(definition)])
      expect((await lake.view(name).detail()).behind).toBe(false)
    }
  })

  it('do not keep each other from it', async () => {
    await lake.sql("INSERT INTO t VALUES ('k0', 1, 'q', 1)")
    const [none, one, same] = await lake.refreshViews(['nowhere', 'per_key', 'how_many'])
    expect(none).toMatchObject({ view: 'nowhere', error: { code: 'VIEW_NOT_FOUND' } })
    expect(one).toMatchObject({ result: { outcome: 'refreshed', how: 'changes' } })
    expect(same).toMatchObject({ result: { outcome: 'refreshed', how: 'changes' } })
  })

  it('are named in one statement, which fails with what kept one of them from it', async () => {
    await lake.sql("INSERT INTO t VALUES ('k0', 1, 'q', 1)")
    const refresh = async (views: string) => await (await lake.sql(`REFRESH MATERIALIZED VIEW ${views}`)).rows()
    expect(await refresh('per_key, "how_many" FULL')).toMatchObject([
      { view: 'per_key', outcome: 'refreshed', how: 'full' },
      { view: 'how_many', outcome: 'refreshed', how: 'full' },
    ])
    await expect(refresh('nowhere, kept')).rejects.toMatchObject({ code: 'VIEW_NOT_FOUND' })
    expect((await lake.view('kept').detail()).behind).toBe(false)
  })
})
