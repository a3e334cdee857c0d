import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { tableFromIPC } from 'apache-arrow'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type LakeServer, serveLake } from '../server/lake-server.js'
import { describeWhen } from '../support/needs.js'
import { peers } from '../support/peers.js'

const COLUMNS = `truth BOOLEAN, tiny TINYINT, small SMALLINT, whole INT, long BIGINT, real FLOAT, double DOUBLE, price DECIMAL(10,2),
  exact DECIMAL(38,10), text STRING, bytes BINARY, day DATE, instant TIMESTAMP, wall TIMESTAMP_NTZ,
  deep STRUCT<a: INT, b: ARRAY<STRING>>, list ARRAY<STRUCT<x: INT>>, map MAP<STRING, DOUBLE>`

const FULL = `true, -128, 32767, -2147483648, 9223372036854775807, 1.5, -0.1, 12345678.99, 1234567890123456789012345678.0123456789,
  'é😀' || chr(0) || 'x', '\\x00\\xFF'::BLOB, DATE '0001-01-01', TIMESTAMPTZ '2026-11-01 10:30:00.123456+02', TIMESTAMP '1969-12-31 23:59:59.999999',
  {'a': 1, 'b': ['x', NULL, '']}, [{'x': 1}, NULL, {'x': NULL}], MAP {'k': 0.5, 'n': NULL}`

/** What Python makes of an Arrow stream: the types, and the rows as text. */
const SCRIPT = `
import sys, json, pyarrow.ipc as ipc
table = ipc.open_stream(sys.stdin.buffer).read_all()
table.validate(full=True)
rows = [{name: repr(value) for name, value in row.items()} for row in table.slice(0, 5).to_pylist()]
print(json.dumps({'types': {f.name: str(f.type) for f in table.schema}, 'rows': rows, 'count': table.num_rows}))
`

interface Seen {
  readonly types: Readonly<Record<string, string>>
  readonly rows: readonly Readonly<Record<string, string>>[]
  readonly count: number
}

async function asPython(stream: Uint8Array): Promise<Seen> {
  const python = spawn(join(process.env['DELTAIC_PEERS'] ?? '', 'venv/bin/python'), ['-c', SCRIPT], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  python.stdin.end(stream)
  let printed = ''
  for await (const chunk of python.stdout) printed += String(chunk)
  return JSON.parse(printed) as Seen
}

describeWhen(peers.available('deltalake'), peers.reason('deltalake'), 'an Arrow stream over HTTP', () => {
  let at: LakeServer
  const stream = async (query: string) => new Uint8Array(await (await at.sql(query, 'arrow')).arrayBuffer())

  beforeAll(async () => {
    at = await serveLake()
    await at.lake.sql(`CREATE TABLE t (${COLUMNS}); INSERT INTO t SELECT ${FULL}; INSERT INTO t (truth) VALUES (NULL)`)
  })
  afterAll(() => at[Symbol.asyncDispose]())

  it('has every type of a Delta table, to pyarrow', async () => {
    const { types, rows } = await asPython(await stream('SELECT * FROM t ORDER BY long NULLS LAST'))
    expect(types).toEqual({
      truth: 'bool',
      tiny: 'int8',
      small: 'int16',
      whole: 'int32',
      long: 'int64',
      real: 'float',
      double: 'double',
      price: 'decimal128(10, 2)',
      exact: 'decimal128(38, 10)',
      text: 'string',
      bytes: 'binary',
      day: 'date32[day]',
      instant: 'timestamp[us, tz=UTC]',
      wall: 'timestamp[us]',
      deep: 'struct<a: int32, b: list<item: string>>',
      list: 'list<item: struct<x: int32>>',
      map: 'map<string, double>',
    })
    expect(rows[0]).toMatchObject({
      truth: 'True',
      tiny: '-128',
      whole: '-2147483648',
      long: '9223372036854775807',
      real: '1.5',
      double: '-0.1',
      price: "Decimal('12345678.99')",
      exact: "Decimal('1234567890123456789012345678.0123456789')",
      text: "'é😀\\x00x'",
      bytes: "b'\\x00\\xff'",
      day: 'datetime.date(1, 1, 1)',
      instant: expect.stringContaining('datetime.datetime(2026, 11, 1, 8, 30, 0, 123456, tzinfo='),
      wall: 'datetime.datetime(1969, 12, 31, 23, 59, 59, 999999)',
      deep: "{'a': 1, 'b': ['x', None, '']}",
      list: "[{'x': 1}, None, {'x': None}]",
      map: "[('k', 0.5), ('n', None)]",
    })
    expect(new Set(Object.values(rows[1] ?? {}))).toEqual(new Set(['None']))
  })

  it('has every type of a Delta table, to apache-arrow', async () => {
    const table = tableFromIPC(await stream('SELECT * FROM t ORDER BY long NULLS LAST'))
    const [full, empty] = table.toArray().map((row) => row?.toJSON() as Record<string, unknown>)
    expect(full).toMatchObject({ truth: true, tiny: -128, long: 9223372036854775807n, real: 1.5, text: 'é😀\0x' })
    expect(JSON.parse(JSON.stringify(full?.['deep']))).toEqual({ a: 1, b: ['x', null, ''] })
    expect(Object.values(empty ?? {}).every((value) => value === null)).toBe(true)
  })

  it.each([
    ['nothing', 'SELECT * FROM t WHERE long = 1', 0],
    ['a column of nothing', 'SELECT NULL AS n FROM range(3)', 3],
    [
      'several batches',
      "SELECT range AS n, [range, NULL] AS l, range::VARCHAR || 'twelve bytes' AS s FROM range(300000)",
      300_000,
    ],
    ['texts of 20 MB', 'SELECT repeat(range::VARCHAR, 20000000) AS s FROM range(1, 4)', 3],
  ])('holds %s', async (_what, query, count) => {
    const bytes = await stream(query)
    expect((await asPython(bytes)).count).toBe(count)
    expect(tableFromIPC(bytes).numRows).toBe(count)
  })
})
