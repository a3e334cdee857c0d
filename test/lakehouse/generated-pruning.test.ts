// Filters on a column prune the partitions that are generated from it, without any statistics of the column itself.
import { afterAll, describe, expect, it } from 'vitest'
import { openLakehouse } from '../../src/index.js'

const lake = await openLakehouse('memory:generated-pruning')
afterAll(() => lake.close())

const NO_STATISTICS = "TBLPROPERTIES ('delta.dataSkippingNumIndexedCols' = '0')"
let tables = 0

/** How many of five partitions a filter skips, each of one row. */
async function skipped(
  type: string,
  values: readonly string[],
  generated: readonly (readonly [string, string, string])[],
  filter: string,
) {
  const name = `t${tables++}`
  const definitions = generated.map(([column, columnType, e]) => `${column} ${columnType} GENERATED ALWAYS AS (${e})`)
  const partitions = generated.map(([column]) => column).join(', ')
  await lake.sql(`CREATE TABLE ${name} (v ${type}, ${definitions.join(', ')}) PARTITIONED BY (${partitions}) ${NO_STATISTICS}`)
  await lake.sql(`INSERT INTO ${name} (v) VALUES ${values.map((value) => `('${value}')`).join(', ')}`)
  const result = await lake.sql(`SELECT v::VARCHAR AS v FROM ${name} WHERE ${filter}`)
  const found = (await result.rows()).length
  const whole = await (await lake.sql(`SELECT count(*) FILTER (${filter}) AS n FROM ${name}`)).rows<{ n: bigint }>()
  expect(BigInt(found)).toBe(whole[0]?.n)
  expect(result.stats.skippedBy).toMatchObject({ partition: 0, generated: result.stats.filesSkipped, statistics: 0 })
  return result.stats.filesSkipped
}

const DAYS = ['2023-12-31', '2024-01-10', '2024-01-20', '2024-02-10', '2025-06-01']
const MOMENTS = DAYS.map((day) => `${day} 10:20:30`)
const parts = (...names: string[]) => names.map((name) => [`p_${name}`, 'INT', `${name.toUpperCase()}(v)`] as const)
const day = [['day', 'DATE', 'CAST(v AS DATE)']] as const

describe('a filter on the source of a generated partition column', () => {
  it.each<[string, readonly (readonly [string, string, string])[], string, number]>([
    ['a day', day, "v >= TIMESTAMP '2024-01-20 00:00:00'", 2],
    ['a day', day, "v = TIMESTAMP '2024-01-20 10:20:30'", 4],
    ['a day', day, "v BETWEEN TIMESTAMP '2024-01-09' AND TIMESTAMP '2024-01-11'", 4],
    ['a day', day, "v::DATE = DATE '2024-02-10'", 4],
    ['a day', day, 'year(v) = 2024', 2],
    ['a day', day, "v < TIMESTAMP '2024-01-01' OR v > TIMESTAMP '2025-01-01'", 3],
    ['a day', day, "date_trunc('month', v) = TIMESTAMP '2024-01-01'", 3],
    ['a year', parts('year'), "v > TIMESTAMP '2024-06-01'", 1],
    ['year and month', parts('year', 'month'), "v >= TIMESTAMP '2024-01-15' AND v < TIMESTAMP '2024-02-01'", 2],
    ['year, month and day', parts('year', 'month', 'day'), "v = TIMESTAMP '2024-01-20 10:20:30'", 4],
    ['year, month, day and hour', parts('year', 'month', 'day', 'hour'), "v <= TIMESTAMP '2024-01-20 09:00:00'", 3],
    ['a formatted month', [['m', 'STRING', "DATE_FORMAT(v, 'yyyy-MM')"]], "v < TIMESTAMP '2024-01-15'", 2],
    ['a formatted hour', [['h', 'STRING', "DATE_FORMAT(v, 'yyyy-MM-dd-HH')"]], "v > TIMESTAMP '2024-01-10 11:00:00'", 2],
  ])('skips by %s', async (_, generated, filter, expected) => {
    expect(await skipped('TIMESTAMP_NTZ', MOMENTS, generated, filter)).toBe(expected)
  })

  it('leaves a zone of room around instants, as another writer may have cast them in its own', async () => {
    expect(await skipped('TIMESTAMP', MOMENTS, day, "v = TIMESTAMPTZ '2024-01-20 10:20:30+00'")).toBe(4)
    const apart = [
      '2024-01-18 23:00:00',
      '2024-01-19 23:00:00',
      '2024-01-20 23:00:00',
      '2024-01-21 23:00:00',
      '2024-01-22 23:00:00',
    ]
    expect(await skipped('TIMESTAMP', apart, day, "v = TIMESTAMPTZ '2024-01-20 23:00:00+00'")).toBe(3)
  })

  it('skips by dates, truncated, and by the beginning of text', async () => {
    expect(await skipped('DATE', DAYS, [['m', 'DATE', "TRUNC(v, 'MM')"]], "v > DATE '2024-02-01'")).toBe(0)
    expect(await skipped('DATE', DAYS, [['m', 'DATE', "TRUNC(v, 'MONTH')"]], "v > DATE '2024-02-01'")).toBe(2)
    const words = ['ab1', 'ab2', 'b', 'ca', 'ﬀ']
    expect(await skipped('STRING', words, [['p', 'STRING', 'SUBSTRING(v, 1, 2)']], "v = 'ca'")).toBe(3)
    expect(await skipped('STRING', words, [['p', 'STRING', 'SUBSTRING(v, 1, 2)']], "v LIKE 'ab%'")).toBe(3)
  })
})
