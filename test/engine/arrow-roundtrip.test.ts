import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { arrowToParquet } from '../../src/engine/arrow-in.js'
import { arrowSchema, ipcStream, recordBatches } from '../../src/engine/arrow-out.js'

let instance: DuckDBInstance
let connection: DuckDBConnection
let folder: string

beforeAll(async () => {
  instance = await DuckDBInstance.create(':memory:', { threads: '2' })
  connection = await instance.connect()
  await connection.run("SET TimeZone = 'UTC'")
  folder = await mkdtemp(join(tmpdir(), 'deltaic-arrow-'))
})
afterAll(async () => {
  connection.closeSync()
  instance.closeSync()
  await rm(folder, { recursive: true })
})

/** A pseudo-random value of each type, as SQL over `h`, a UBIGINT. */
const VALUES: Readonly<Record<string, string>> = {
  BOOLEAN: 'h % 2 = 0',
  TINYINT: '(h % 256)::INT - 128',
  SMALLINT: '(h % 65536)::INT - 32768',
  INTEGER: '(h % 4294967296)::BIGINT - 2147483648',
  BIGINT: 'h::HUGEINT - 9223372036854775808',
  UTINYINT: 'h % 256',
  USMALLINT: 'h % 65536',
  UINTEGER: 'h % 4294967296',
  UBIGINT: 'h',
  HUGEINT: '(h::HUGEINT - 9223372036854775808) * 1000000007',
  FLOAT: "CASE h % 9 WHEN 0 THEN 'nan'::FLOAT WHEN 1 THEN 'inf'::FLOAT ELSE (h % 100000) / 7 END",
  DOUBLE: "CASE h % 9 WHEN 0 THEN 'nan'::DOUBLE WHEN 1 THEN '-inf'::DOUBLE ELSE (h::DOUBLE - 9e18) / 7 END",
  'DECIMAL(4,1)': '((h % 19999)::INT - 9999)::DECIMAL(10,1) / 10',
  'DECIMAL(9,3)': '((h % 1999999)::INT - 999999)::DECIMAL(12,3) / 1000',
  'DECIMAL(18,0)': '(h % 1999999999999999999)::HUGEINT - 999999999999999999',
  'DECIMAL(38,5)': '((h::HUGEINT - 9223372036854775808) * 10007)::DECIMAL(38,5)',
  VARCHAR: "repeat(['', 'a', 'é', '日本', '😀', 'z' || chr(0), 'a longer piece of text'][1 + (h % 7)::INT], (h // 7 % 20)::INT)",
  BLOB: "encode(repeat('ÿ' || chr(0), (h % 20)::INT))",
  DATE: "DATE '1970-01-01' + ((h % 100000)::INT - 50000)",
  TIME: "TIME '00:00:00' + to_microseconds((h % 86400000000)::BIGINT)",
  TIMESTAMP: 'make_timestamp((h % 8000000000000000)::BIGINT - 4000000000000000)',
  TIMESTAMPTZ: 'make_timestamp((h % 8000000000000000)::BIGINT - 4000000000000000)::TIMESTAMPTZ',
  TIMESTAMP_S: 'make_timestamp((h % 8000000000)::BIGINT * 1000000 - 4000000000000000)::TIMESTAMP_S',
  TIMESTAMP_MS: 'make_timestamp((h % 8000000000000)::BIGINT * 1000 - 4000000000000000)::TIMESTAMP_MS',
  TIMESTAMP_NS: 'make_timestamp_ns((h % 8000000000000000000)::BIGINT - 4000000000000000000)',
  UUID: 'md5(h::VARCHAR)::UUID',
  "ENUM('red', 'green', 'a colour of more than twelve bytes')":
    "['red', 'green', 'a colour of more than twelve bytes'][1 + (h % 3)::INT]",
  JSON: "to_json({'n': h})",
  'VARCHAR[]':
    "list_transform(range((h % 5)::INT), x -> CASE WHEN (h + x) % 4 = 0 THEN NULL ELSE repeat('é', (h % 13)::INT) END)",
  'STRUCT(a INTEGER, b STRUCT(c VARCHAR))':
    "{'a': CASE WHEN h % 3 = 0 THEN NULL ELSE (h % 1000)::INT END, 'b': CASE WHEN h % 5 = 0 THEN NULL ELSE {'c': 'c' || h} END}",
  'MAP(VARCHAR, BIGINT)':
    "map_from_entries(list_transform(range((h % 4)::INT), x -> {'k': 'key ' || x, 'v': CASE WHEN x = 1 THEN NULL ELSE x END}))",
  'STRUCT(x BIGINT, tags VARCHAR[])[]':
    "list_transform(range((h % 4)::INT), x -> CASE WHEN (h + x) % 6 = 0 THEN NULL ELSE {'x': x, 'tags': CASE WHEN x = 2 THEN NULL ELSE ['t' || h, NULL] END} END)",
  'INTEGER[][]': '[[(h % 100)::INT], NULL, [], [NULL, 1]][1:(h % 5)::INT]',
}

const column = fc.record({
  type: fc.constantFrom(...Object.keys(VALUES)),
  seed: fc.nat(),
  nullEvery: fc.constantFrom(1, 2, 7, 1_000_000_000),
})

describe('DuckDB to Arrow to Parquet to DuckDB', () => {
  it('is the same table, whatever its types, nulls, chunks and batches', async () => {
    let run = 0
    await fc.assert(
      fc.asyncProperty(
        fc.array(column, { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 0, max: 6000 }),
        fc.integer({ min: 1, max: 7000 }),
        fc.integer({ min: 1, max: 5 }),
        async (columns, rows, rowsPerBatch, keep) => {
          const selects = columns.map(
            ({ type, seed, nullEvery }, index) =>
              `CASE WHEN hash(i, ${seed}, 1) % ${nullEvery} = 0 THEN NULL ELSE (SELECT CAST(${VALUES[type]} AS ${type}) FROM (SELECT hash(i, ${seed}) AS h)) END AS c${index}`,
          )
          await connection.run(
            `CREATE OR REPLACE TABLE sent AS SELECT ${selects.join(', ')} FROM range(${rows}) r(i) WHERE i % ${keep + 1} <> 1`,
          )
          const result = await connection.stream('FROM sent')
          const stream = ipcStream(
            arrowSchema(result.columnNames(), result.columnTypes()),
            recordBatches(result, { rowsPerBatch }),
          )
          const { rows: written, files } = await arrowToParquet(stream, join(folder, `${run++}.parquet`))
          await connection.run(`CREATE OR REPLACE TABLE received AS FROM read_parquet([${files.map((file) => `'${file}'`)}])`)
          const described = await connection.runAndReadAll('DESCRIBE received')
          // The types that Parquet or Arrow lacks come back as their nearest kin; the values must be those that a cast gives.
          const casts = described
            .getRowObjectsJS()
            .map(({ column_name: name, column_type: type }) => `CAST(${String(name)} AS ${String(type)}) AS ${String(name)}`)
          const difference = await connection.runAndReadAll(`
            WITH sent AS (SELECT ${casts.join(', ')} FROM sent)
            SELECT (SELECT count(*) FROM sent), (SELECT count(*) FROM received),
              (SELECT count(*) FROM (FROM sent EXCEPT ALL FROM received)), (SELECT count(*) FROM (FROM received EXCEPT ALL FROM sent))`)
          expect(difference.getRowsJS()).toEqual([[BigInt(written), BigInt(written), 0n, 0n]])
        },
      ),
      { numRuns: 60 },
    )
  }, 120_000)

  it.each(Object.entries(VALUES))('carries %s', async (type, value) => {
    await connection.run(
      `CREATE OR REPLACE TABLE sent AS SELECT i, CASE WHEN i % 11 = 0 THEN NULL ELSE CAST(${value} AS ${type}) END AS c FROM (SELECT i, hash(i) AS h FROM range(3000) r(i))`,
    )
    const result = await connection.stream('FROM sent')
    const stream = ipcStream(arrowSchema(result.columnNames(), result.columnTypes()), recordBatches(result))
    const { files } = await arrowToParquet(stream, join(folder, `${type.replaceAll(/\W/g, '')}.parquet`))
    const read = await connection.runAndReadAll(`
      SELECT count(*), count(*) FILTER (received.c IS NOT DISTINCT FROM sent.c) FROM sent JOIN read_parquet([${files.map((file) => `'${file}'`)}]) received USING (i)`)
    expect(read.getRowsJS()).toEqual([[3000n, 3000n]])
  })
})
