import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { type RecordBatch, type Table, tableFromIPC } from 'apache-arrow'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isDeltaError } from '../../src/base/errors.js'
import { arrowSchema, ipcStream, recordBatches } from '../../src/engine/arrow-out.js'

let instance: DuckDBInstance
let connection: DuckDBConnection

beforeAll(async () => {
  instance = await DuckDBInstance.create(':memory:', { threads: '2' })
  connection = await instance.connect()
})
afterAll(() => {
  connection.closeSync()
  instance.closeSync()
})

async function arrow(sql: string, rowsPerBatch?: number): Promise<Table> {
  const result = await connection.stream(sql)
  return tableFromIPC(
    await joined(ipcStream(arrowSchema(result.columnNames(), result.columnTypes()), recordBatches(result, { rowsPerBatch }))),
  )
}

async function joined(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const all: Uint8Array[] = []
  for await (const chunk of chunks) all.push(chunk)
  return Buffer.concat(all)
}

/** What JSON says of the values, with bigints as text. */
function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_, inner: unknown) =>
      typeof inner === 'bigint'
        ? String(inner)
        : ArrayBuffer.isView(inner)
          ? Buffer.from(inner.buffer, inner.byteOffset, inner.byteLength).toString('hex')
          : inner,
    ) ?? 'null',
  )
}

async function column(sql: string, rowsPerBatch?: number): Promise<unknown[]> {
  const vector = (await arrow(sql, rowsPerBatch)).getChildAt(0)
  return Array.from({ length: vector?.length ?? 0 }, (_, row) => vector?.get(row) as unknown)
}

describe('recordBatches', () => {
  it.each([
    ['true', 'Bool', true],
    ['(-128)::TINYINT', 'Int8', -128],
    ['(-32768)::SMALLINT', 'Int16', -32768],
    ['(-2147483648)::INTEGER', 'Int32', -2147483648],
    ['(-9223372036854775808)::BIGINT', 'Int64', '-9223372036854775808'],
    ['255::UTINYINT', 'Uint8', 255],
    ['65535::USMALLINT', 'Uint16', 65535],
    ['4294967295::UINTEGER', 'Uint32', 4294967295],
    ['18446744073709551615::UBIGINT', 'Uint64', '18446744073709551615'],
    ['1.5::FLOAT', 'Float32', 1.5],
    ["'-inf'::DOUBLE", 'Float64', null], // JSON has no infinity
    ["''", 'Utf8', ''],
    ["'twelve bytes'", 'Utf8', 'twelve bytes'],
    ["'thirteen byte'", 'Utf8', 'thirteen byte'],
    [`'{"a": [1]}'::JSON`, 'Utf8', '{"a": [1]}'],
    ["'\\x00\\xFF'::BLOB", 'Binary', '00ff'],
    ["DATE '1969-12-31'", 'Date32<DAY>', -86_400_000],
    ["TIME '23:59:59.999999'", 'Time64<MICROSECOND>', '86399999999'],
    ["TIMESTAMP '2026-01-02 03:04:05.678'", 'Timestamp<MICROSECOND>', Date.UTC(2026, 0, 2, 3, 4, 5, 678)],
    ["TIMESTAMPTZ '2026-01-02 03:04:05.678+00'", 'Timestamp<MICROSECOND, UTC>', Date.UTC(2026, 0, 2, 3, 4, 5, 678)],
    ["TIMESTAMP_S '2026-01-02 03:04:05'", 'Timestamp<SECOND>', Date.UTC(2026, 0, 2, 3, 4, 5)],
    ["TIMESTAMP_MS '2026-01-02 03:04:05.678'", 'Timestamp<MILLISECOND>', Date.UTC(2026, 0, 2, 3, 4, 5, 678)],
    ["TIMESTAMP_NS '2026-01-02 03:04:05.678'", 'Timestamp<NANOSECOND>', Date.UTC(2026, 0, 2, 3, 4, 5, 678)],
    ["'00010203-0405-0607-0809-0a0b0c0d0e0f'::UUID", 'Utf8', '00010203-0405-0607-0809-0a0b0c0d0e0f'],
    ["'ffffffff-ffff-ffff-ffff-ffffffffffff'::UUID", 'Utf8', 'ffffffff-ffff-ffff-ffff-ffffffffffff'],
    ["'é'::ENUM('a', 'é')", 'Utf8', 'é'],
    ['[1, NULL]', 'List<Int32>', [1, null]],
    ["{'a': 1, 'b': NULL::VARCHAR}", 'Struct<{a:Int32, b:Utf8}>', { a: 1, b: null }],
    ["MAP {'k': 1}", 'Map<{entries:Struct<{key:Utf8, value:Int32}>}>', { k: 1 }],
    ['NULL', 'Null', null],
  ])('gives %s as %s', async (sql, type, value) => {
    const table = await arrow(`SELECT ${sql} AS c`)
    const vector = table.getChildAt(0)
    if (sql !== 'NULL') expect(String(vector?.type).replaceAll(/Map<.*>/g, type)).toBe(type)
    expect(plain(vector?.get(0))).toEqual(value)
  })

  it.each([
    ['-1::HUGEINT', 38, 0, -1n],
    ['170141183460469231731687303715884105727::HUGEINT', 38, 0, 2n ** 127n - 1n],
    ['(-123.4)::DECIMAL(4,1)', 4, 1, -1234n],
    ['(-12345.678)::DECIMAL(9,3)', 9, 3, -12345678n],
    ['(-123456789012.345678)::DECIMAL(18,6)', 18, 6, -123456789012345678n],
    ['123456789012.345678::DECIMAL(18,6)', 18, 6, 123456789012345678n],
    ['(-1234567890123456789.5)::DECIMAL(38,1)', 38, 1, -12345678901234567895n],
  ])('gives %s as a 128-bit decimal', async (sql, precision, scale, unscaled) => {
    const vector = (await arrow(`SELECT ${sql} AS c`)).getChildAt(0)
    expect(vector?.type).toMatchObject({ precision, scale, bitWidth: 128 })
    const words = Array.from(vector?.get(0) as Uint32Array, BigInt)
    expect(
      BigInt.asIntN(
        128,
        words.reduceRight((sum, word) => (sum << 32n) | word, 0n),
      ),
    ).toBe(unscaled)
  })

  it('gives an interval as months, days and nanoseconds', async () => {
    const [value, missing] = await column("FROM (VALUES (INTERVAL '14 months -3 days' + INTERVAL '-1 microsecond'), (NULL)) t(c)")
    const words = Array.from(value as Int32Array)
    expect(words).toEqual([14, -3, -1000, -1])
    expect(missing).toBeNull()
  })

  it('refuses an interval that nanoseconds cannot count', async () => {
    await expect(arrow('SELECT to_microseconds(9223372036854775807) AS c')).rejects.toSatisfy((error) =>
      isDeltaError(error, 'unsupported'),
    )
  })

  it.each(['1::UHUGEINT', "'101'::BIT", "TIMETZ '12:00:00+01'", '[1, 2]::INTEGER[2]', 'union_value(a := 1)'])(
    'refuses %s by column and type',
    async (sql) => {
      const refused = arrow(`SELECT 1 AS fine, {'odd': ${sql}} AS nested`)
      await expect(refused).rejects.toMatchObject({
        code: 'TYPE_UNSUPPORTED',
        details: { column: 'nested.odd' },
        hint: expect.stringContaining('VARCHAR') as string,
      })
    },
  )

  it('carries short and long text, unicode, zero bytes and nulls across chunks', async () => {
    const texts = [
      '',
      'a',
      'exactly 12 b',
      'exactly 13 by',
      'é'.repeat(6),
      'é'.repeat(7),
      '日本語'.repeat(50),
      '😀',
      'zero\0byte',
      `long\0${'x'.repeat(3000)}`,
      null,
    ]
    const list = texts.map((text) => (text === null ? 'NULL' : `'${text.split('\0').join("' || chr(0) || '")}'`)).join(', ')
    const values = await column(`SELECT (CAST([${list}] AS VARCHAR[]))[1 + i % ${texts.length}] AS c FROM range(5000) r(i)`, 3000)
    expect(values).toEqual(Array.from({ length: 5000 }, (_, row) => texts[row % texts.length]))
  })

  it('keeps nulls in their rows when chunks of odd sizes are gathered', async () => {
    const values = await column(
      'SELECT CASE WHEN i % 7 = 0 OR i > 9000 THEN NULL ELSE i END AS c FROM range(12000) r(i) WHERE i % 3 <> 1',
      12000,
    )
    const expected = Array.from({ length: 12000 }, (_, i) => i)
      .filter((i) => i % 3 !== 1)
      .map((i) => (i % 7 === 0 || i > 9000 ? null : BigInt(i)))
    expect(values).toEqual(expected)
  })

  it('starts a bitmap late, when the first chunks have no nulls', async () => {
    const values = await column('SELECT CASE WHEN i = 4999 THEN NULL ELSE i % 2 = 0 END AS c FROM range(5000) r(i)')
    expect(values).toEqual(Array.from({ length: 5000 }, (_, i) => (i === 4999 ? null : i % 2 === 0)))
  })

  it('carries lists of structs of lists', async () => {
    const sql = `SELECT CASE WHEN i % 5 = 0 THEN NULL ELSE list_transform(range(i % 4), x -> {'x': x, 'tags': CASE WHEN x = 1 THEN NULL ELSE ['t' || x, NULL, repeat('u', 20)] END}) END AS c FROM range(4100) r(i)`
    const values = plain(await column(sql, 2500))
    const item = (x: number) => ({ x: String(x), tags: x === 1 ? null : [`t${x}`, null, 'u'.repeat(20)] })
    expect(values).toEqual(
      Array.from({ length: 4100 }, (_, i) => (i % 5 === 0 ? null : Array.from({ length: i % 4 }, (_, x) => item(x)))),
    )
  })

  it('gathers lists that are slices of others, in any order', async () => {
    const values = plain(
      await column('SELECT l[2:3] AS c FROM (SELECT i, [i, i + 1, i + 2, NULL] AS l FROM range(3000) r(i)) ORDER BY i DESC'),
    )
    expect(values).toEqual(Array.from({ length: 3000 }, (_, row) => [String(3000 - row), String(3001 - row)]))
  })

  it('gathers a struct of nulls and a null struct as different things', async () => {
    expect(plain(await column("FROM (VALUES ({'a': NULL::INT}), (NULL), ({'a': 1})) t(c)"))).toEqual([
      { a: null },
      null,
      { a: 1 },
    ])
  })

  it('reads a materialized result as well', async () => {
    const result = await connection.run("SELECT 'row number ' || i AS c FROM range(5000) r(i)")
    let rows = 0
    for await (const batch of recordBatches(result)) {
      expect(batch.getChildAt(0)?.get(batch.numRows - 1)).toBe(`row number ${rows + batch.numRows - 1}`)
      rows += batch.numRows
    }
    expect(rows).toBe(5000)
  })

  it('makes batches of about the rows asked for, none of them empty', async () => {
    const sizes: number[] = []
    for await (const batch of recordBatches(await connection.stream('FROM range(10000)'), { rowsPerBatch: 4000 }))
      sizes.push(batch.numRows)
    expect(sizes.reduce((sum, size) => sum + size)).toBe(10000)
    expect(sizes.slice(0, -1).every((size) => size >= 4000 && size < 4000 + 2048)).toBe(true)
    expect(sizes.every((size) => size > 0)).toBe(true)
  })

  it('gives batches that do not change when later ones are made', async () => {
    const batches: RecordBatch[] = []
    for await (const batch of recordBatches(
      await connection.stream("SELECT i, 'text of row ' || i AS t FROM range(20000) r(i)"),
      { rowsPerBatch: 1 },
    ))
      batches.push(batch)
    let row = 0
    for (const batch of batches) {
      for (let index = 0; index < batch.numRows; index++, row++)
        expect(batch.getChildAt(1)?.get(index)).toBe(`text of row ${row}`)
    }
    expect(row).toBe(20000)
  })

  it('leaves the connection free when it is stopped early', async () => {
    for await (const batch of recordBatches(await connection.stream('FROM range(1000000)'), { rowsPerBatch: 1 })) {
      expect(batch.numRows).toBeGreaterThan(0)
      break
    }
    expect(await column('SELECT 42 AS c')).toEqual([42])
  })

  it('rejects with the reason of its signal', async () => {
    const controller = new AbortController()
    const reason = new Error('enough')
    const batches = recordBatches(await connection.stream('FROM range(1000000)'), { rowsPerBatch: 1, signal: controller.signal })
    await batches.next()
    controller.abort(reason)
    await expect(batches.next()).rejects.toBe(reason)
    await expect(recordBatches(await connection.stream('SELECT 1'), { signal: controller.signal }).next()).rejects.toBe(reason)
  })

  it('rejects with the reason, not with the interruption, when the query is interrupted on abort', async () => {
    const controller = new AbortController()
    const reason = new Error('too slow')
    controller.signal.addEventListener('abort', () => connection.interrupt())
    const slow = await connection.stream('SELECT i FROM range(100_000_000_000) r(i) WHERE i < 3_000_000 OR hash(i) = 1')
    setTimeout(() => controller.abort(reason), 50)
    const rejected = async () => {
      for await (const batch of recordBatches(slow, { signal: controller.signal })) expect(batch.numRows).toBeGreaterThan(0)
    }
    await expect(rejected()).rejects.toBe(reason)
  })

  it('passes on what the query fails with', async () => {
    await expect(
      arrow("SELECT CASE WHEN i = 9999 THEN error('row 9999') ELSE i::VARCHAR END AS c FROM range(10000) r(i)"),
    ).rejects.toThrow('row 9999')
  })

  it('takes no end for the end when a streaming query fails after its first rows', async () => {
    const sql = "SELECT CASE WHEN i = 2_999_999 THEN error('late') ELSE i END AS c FROM range(3_000_000) r(i)"
    await expect(arrow(sql)).rejects.toMatchObject({ code: 'ENGINE_FAILED' })
  })

  it('takes no end for the end when a streaming query is interrupted', async () => {
    const slow = await connection.stream('SELECT i FROM range(100_000_000_000) r(i) WHERE i < 3_000_000 OR hash(i) = 1')
    setTimeout(() => connection.interrupt(), 50)
    const read = async () => {
      for await (const batch of recordBatches(slow)) expect(batch.numRows).toBeGreaterThan(0)
    }
    await expect(read()).rejects.toMatchObject({ code: 'ENGINE_FAILED' })
  })
})

describe('ipcStream', () => {
  it('gives a stream with the schema when there are no rows', async () => {
    const table = await arrow('SELECT 1 AS a, NULL::VARCHAR[] AS b WHERE false')
    expect(table.numRows).toBe(0)
    expect(table.schema.names).toEqual(['a', 'b'])
    expect(table.schema.fields.every((field) => field.nullable)).toBe(true)
  })

  it('keeps columns of the same name apart', async () => {
    const table = await arrow('SELECT 1 AS a, 2 AS a')
    expect([table.getChildAt(0)?.get(0), table.getChildAt(1)?.get(0)]).toEqual([1, 2])
  })

  it('leaves out the end-of-stream marker when the rows end in an error', async () => {
    const result = await connection.stream('SELECT 1 AS a')
    const schema = arrowSchema(result.columnNames(), result.columnTypes())
    const chunks: Uint8Array[] = []
    const failing = async function* () {
      yield* recordBatches(result)
      throw new Error('halfway')
    }
    await expect(async () => {
      for await (const chunk of ipcStream(schema, failing())) chunks.push(chunk)
    }).rejects.toThrow('halfway')
    const marker = Buffer.from(Int32Array.of(-1, 0).buffer)
    expect(Buffer.concat(chunks).subarray(-8).equals(marker)).toBe(false)
    expect(
      Buffer.from(await joined(ipcStream(schema, [])))
        .subarray(-8)
        .equals(marker),
    ).toBe(true)
  })
})
