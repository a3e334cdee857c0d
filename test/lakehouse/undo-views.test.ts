import { describe, expect, it } from 'vitest'
import type { Lakehouse } from '../../src/lakehouse/lakehouse.js'
import { openLake, rowsOf } from '../support/world.js'

const VIEWS = {
  per_url: 'SELECT url, count(*) AS hits, sum(n) AS n, avg(x) AS mean, max(n) AS top, median(n) AS middle FROM hits GROUP BY url',
  wide: 'SELECT url, n * 2 AS twice FROM hits WHERE n > 3',
  named: 'SELECT h.url, s.name, h.n FROM hits AS h JOIN sites AS s ON h.url = s.url',
  totals: 'SELECT count(*) AS urls, sum(hits) AS hits FROM per_url',
  ranked: 'SELECT url, row_number() OVER (ORDER BY n, url) AS rank FROM hits',
}

async function polluted(lake: Lakehouse, marks: boolean): Promise<void> {
  await lake.sql(`CREATE TABLE sites (url STRING, name STRING); INSERT INTO sites SELECT 'u' || i, 'site ' || i FROM range(4) r(i);
    CREATE TABLE hits (url STRING, n INT, x DOUBLE) TBLPROPERTIES ('delta.enableRowTracking' = 'true', 'delta.enableDeletionVectors' = '${marks}')`)
  await lake.sql(`INSERT INTO hits SELECT 'u' || i % 5, i, i / 3 FROM range(40) r(i)`)
  for (const [view, as] of Object.entries(VIEWS))
    await lake.sql(`CREATE MATERIALIZED VIEW ${view} TBLPROPERTIES ('deltaic.view.refresh' = 'manual') AS ${as}`)
  await lake.sql(`INSERT INTO hits SELECT 'u' || i % 3, i + 100, i / 7 FROM range(20) r(i)`)
  await lake.sql(`INSERT INTO hits VALUES ('only here', 1, 1), ('u0', 7, 1)`)
  await lake.sql(`DELETE FROM hits WHERE n IN (3, 104)`)
  await lake.sql('REFRESH MATERIALIZED VIEW wide; OPTIMIZE hits')
}

const viewsOf = async (lake: Lakehouse) =>
  Object.fromEntries(
    await Promise.all(
      Object.keys(VIEWS).map(async (view) => [view, (await rowsOf(lake, `SELECT * FROM ${view}`)).map(text).toSorted()]),
    ),
  ) as Record<keyof typeof VIEWS, string[]>

const text = (row: unknown) =>
  JSON.stringify(row, (_, value: unknown) =>
    typeof value === 'bigint' ? Number(value) : typeof value === 'number' ? Number(value.toPrecision(9)) : value,
  )

/** Rows of one list that the other has not, with a key of one column counted as one with the row of this key. */
function differing(before: readonly string[], after: readonly string[], key: string | undefined): number {
  const [gone, came] = [before.filter((row) => !after.includes(row)), after.filter((row) => !before.includes(row))]
  if (key === undefined) return gone.length + came.length
  const keys = [...gone, ...came].map((row) => (JSON.parse(row) as Record<string, unknown>)[key])
  return new Set(keys).size
}

describe('an undo of rows that views are made of', () => {
  it.each([true, false])('foretells their rows, and proves them afterwards (rows are marked: %s)', async (marks) => {
    await using lake = await openLake()
    await polluted(lake, marks)
    const before = await viewsOf(lake)
    const options = { versions: { from: 2, to: 3 }, where: "n <> 110 OR url = 'nowhere'" }
    const files = async () => (await lake.table('hits').snapshot()).version
    const version = await files()
    const dry = await lake.table('hits').undo({ ...options, dryRun: true })
    expect(await files()).toBe(version)
    expect(dry.viewProofs).toBeUndefined()
    const done = await lake.table('hits').undo(options)
    expect(done).toMatchObject({ rowsDeleted: dry.rowsDeleted, viewChanges: undefined })
    const after = await viewsOf(lake)
    expect(Object.fromEntries((dry.viewChanges ?? []).map(({ view, rows }) => [view, rows]))).toEqual({
      per_url: differing(before.per_url, after.per_url, 'url'),
      wide: differing(before.wide, after.wide, undefined),
      named: differing(before.named, after.named, undefined),
      totals: differing(before.totals, after.totals, undefined),
      ranked: differing(before.ranked, after.ranked, undefined),
    })
    const examples = (dry.viewChanges ?? []).find(({ view }) => view === 'per_url')?.examples ?? []
    const told = (row: string | null) => (row === null ? [] : [text(JSON.parse(row))])
    expect(before.per_url).toEqual(expect.arrayContaining(examples.flatMap((one) => told(one.before))))
    expect(after.per_url).toEqual(expect.arrayContaining(examples.flatMap((one) => told(one.after))))
    expect(examples.some((one) => one.after === null)).toBe(true)
    expect((done.viewProofs ?? []).map(({ view, holds, rowsDiffering }) => [view, holds, rowsDiffering]).toSorted()).toEqual(
      Object.keys(VIEWS)
        .toSorted()
        .map((view) => [view, true, 0]),
    )
    const back = await lake.table('hits').undo({ versions: done.version })
    expect(back.viewProofs?.every(({ holds }) => holds)).toBe(true)
    expect(await viewsOf(lake)).toEqual(before)
  })

  it('says it in SQL too', async () => {
    await using lake = await openLake()
    await polluted(lake, true)
    const [dry] = await rowsOf(lake, 'UNDO TABLE hits VERSION 3 DRY RUN')
    expect(dry).toMatchObject({ views_proven: null })
    const [done] = await rowsOf(lake, 'UNDO TABLE hits VERSION 3')
    expect(done).toMatchObject({ views_proven: true })
  })

  it('says of views that it does not look at that they are not checked', async () => {
    await using lake = await openLake()
    await lake.sql(
      `CREATE TABLE hits (url STRING) TBLPROPERTIES ('delta.enableRowTracking' = 'true'); INSERT INTO hits VALUES ('a')`,
    )
    await lake.sql('CREATE MATERIALIZED VIEW per_url AS SELECT url, count(*) AS hits FROM hits GROUP BY url')
    await lake.sql("INSERT INTO hits VALUES ('a')")
    const undo = (dryRun: boolean) => lake.table('hits').undo({ versions: 2, views: 'skip', dryRun })
    expect(await undo(true)).toMatchObject({ rowsDeleted: 1, viewChanges: undefined, viewProofs: undefined })
    const { version, viewProofs } = await undo(false)
    expect(viewProofs).toEqual([
      { view: 'per_url', holds: undefined, rows: undefined, rowsDiffering: undefined, problem: 'not checked' },
    ])
    const [back] = await rowsOf(lake, `UNDO TABLE hits VERSION ${version} WITHOUT VIEWS`)
    expect(back).toMatchObject({ rows_restored: 1, views_proven: null })
  })
})
