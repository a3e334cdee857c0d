import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { tableFromArrays, tableFromIPC } from 'apache-arrow'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { digestOfArrow } from '../support/arrow-digest.js'
import { canonical, type DeltaType, digestOfRows, repr } from '../support/digest.js'
import { describeWhen } from '../support/needs.js'
import { peers, sharedFolder } from '../support/peers.js'

const struct = (fields: Record<string, DeltaType>): DeltaType => {
  return { type: 'struct', fields: Object.entries(fields).map(([name, type]) => ({ name, type })) }
}

describe('the digest of rows', () => {
  const schema = struct({ id: 'long', name: 'string' })

  it('of none is that of nothing', () => {
    expect(digestOfRows(schema, [])).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
  })

  it('does not depend on their order, and does on how often a row occurs', () => {
    const [a, b] = [
      { id: 1n, name: 'a' },
      { id: 2, name: null },
    ]
    expect(digestOfRows(schema, [a, b])).toBe(digestOfRows(schema, [b, a]))
    expect(digestOfRows(schema, [a, a])).not.toBe(digestOfRows(schema, [a]))
  })

  it('digestOfArrow(table) is digestOfRows(rows)', () => {
    const table = tableFromArrays({ id: BigInt64Array.of(1n, 2n, 3n), name: ['a', null, '"\u{1f600}\u0001'] })
    const rows = [
      { id: 3, name: '"\u{1f600}\u0001' },
      { id: 1, name: 'a' },
      { id: 2, name: null },
    ]
    expect(digestOfArrow(table)).toBe(digestOfRows(schema, rows))
  })
})

describe('canonical', () => {
  it.each<[DeltaType, Parameters<typeof canonical>[1], string]>([
    ['double', 1, '"1.0"'],
    ['float', Number.NaN, '"NaN"'],
    ['decimal(5,2)', '1.50', '"1.50"'],
    ['binary', Uint8Array.of(0, 255), '"00ff"'],
    ['timestamp', 1_700_000_000_000_000n, '1700000000000000'],
    [struct({ b: 'integer', a: 'boolean' }), { a: true, b: null }, '{"a":true,"b":null}'],
    [{ type: 'array', elementType: 'integer' }, [1, null], '[1,null]'],
    [
      { type: 'map', keyType: 'string', valueType: 'integer' },
      new Map([
        ['b', 1],
        ['a', 2],
      ]),
      '[["a",2],["b",1]]',
    ],
    [struct({ '\uffff': 'integer', '\u{10000}': 'integer' }), { '\uffff': 1, '\u{10000}': 2 }, '{"\uffff":1,"\u{10000}":2}'],
  ])('renders a value of %j', (type, value, text) => {
    expect(canonical(type, value)).toBe(text)
  })

  it('refuses a number that lost digits', () => {
    expect(() => canonical('long', 2 ** 60)).toThrow(TypeError)
  })
})

describe('repr', () => {
  it('Number(repr(x)) is x', () => {
    fc.assert(fc.property(fc.double({ noNaN: true }), (x) => Object.is(Number(repr(x)), x)))
  })
})

describeWhen(peers.available('deltalake'), peers.reason('deltalake'), 'the peers’ own digest', () => {
  const python = (program: string, input: unknown): string =>
    execFileSync(join(process.env['DELTAIC_PEERS'] ?? '', 'venv/bin/python'), ['-c', program], {
      input: JSON.stringify(input),
      env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1', PYTHONPATH: join(sharedFolder, 'peers') },
    }).toString('utf8')

  it('repr is Python’s', () => {
    const numbers = fc.sample(fc.double({ noNaN: true, noDefaultInfinity: true }), { numRuns: 500, seed: 1 })
    const bits = numbers.map((x) => Buffer.from(Float64Array.of(x).buffer).toString('hex'))
    const program =
      'import json,struct,sys\nprint(json.dumps([repr(struct.unpack("<d", bytes.fromhex(x))[0]) for x in json.load(sys.stdin)]))'
    expect(numbers.map(repr)).toEqual(JSON.parse(python(program, bits)))
  })

  it('digestOfRows is canon.Digest', () => {
    const text = fc.string({ unit: 'binary' })
    const row = fc.record({ id: fc.maxSafeInteger(), name: fc.option(text), tags: fc.option(fc.array(fc.option(text))) })
    const rows = fc.sample(row, { numRuns: 200, seed: 2 })
    const program = [
      'import json,sys,canon,pyarrow as pa',
      'types = pa.schema([("tags", pa.list_(pa.string())), ("id", pa.int64()), ("name", pa.string())])',
      'print(canon.Digest().update(pa.Table.from_pylist(json.load(sys.stdin), schema=types)).hex())',
    ].join('\n')
    const schema = struct({ id: 'long', name: 'string', tags: { type: 'array', elementType: 'string' } })
    expect(digestOfRows(schema, rows)).toBe(python(program, rows).trim())
  })

  it('digestOfArrow is canon.Digest for every type of an Arrow stream', () => {
    const program = [
      'import base64,canon,datetime as dt,decimal,json,pyarrow as pa',
      'at = dt.datetime(1969, 12, 31, 23, 59, 59, 123457)',
      'columns = {',
      '  "i8": pa.array([-1, None, 3, 4], pa.int8()), "u16": pa.array([1, 2, 65535, None], pa.uint16()),',
      '  "i64": pa.array([2**62, None, -2**63, 0]), "f32": pa.array([0.1, None, 1e20, -0.0], pa.float32()),',
      '  "f64": pa.array([0.1, float("nan"), float("inf"), 5e-324]), "b": pa.array([True, None, False, True]),',
      '  "s": pa.array(["a", None, "\\U0001f600\\"\\n\\x7f", ""]), "ls": pa.array(["x", "y", None, "z"], pa.large_string()),',
      '  "dict": pa.array(["p", "q", None, "p"]).dictionary_encode(), "bin": pa.array([b"\\x00\\xff", None, b"", b"z"]),',
      '  "dec": pa.array([decimal.Decimal("-0.05"), None, decimal.Decimal("123456789012345678901234567890.12"), decimal.Decimal("0.00")], pa.decimal128(38, 2)),',
      '  "int": pa.array([decimal.Decimal("-7"), None, decimal.Decimal("8"), decimal.Decimal("0")], pa.decimal128(10, 0)),',
      '  "date": pa.array([dt.date(1969, 12, 31), None, dt.date(9999, 12, 31), dt.date(1, 1, 1)]),',
      '  "us": pa.array([at, None, at, at], pa.timestamp("us")), "tz": pa.array([at, at, None, at], pa.timestamp("us", "UTC")),',
      '  "ns": pa.array([-1, None, 1999, 0], pa.int64()).cast(pa.timestamp("ns")), "ms": pa.array([at, at, None, at], pa.timestamp("s")),',
      '  "list": pa.array([[1, None], None, [], [4]]), "nested": pa.array([[["a"], None], [], None, [["b", "c"]]]),',
      '  "struct": pa.array([{"z": 1, "a": ["q"]}, None, {"z": None, "a": None}, {"z": 2, "a": []}]),',
      '  "map": pa.array([[("b", 1), ("a", None)], None, [], [("c", 3)]], pa.map_(pa.string(), pa.int32())),',
      '  "void": pa.nulls(4),',
      '}',
      'table = pa.table(columns)',
      'sink = pa.BufferOutputStream()',
      'with pa.ipc.new_stream(sink, table.schema) as out:',
      '  out.write_table(table); out.write_table(table.slice(1, 2))',
      'whole = pa.concat_tables([table, table.slice(1, 2)])',
      'print(json.dumps([canon.Digest().update(whole).hex(), base64.b64encode(sink.getvalue()).decode()]))',
    ].join('\n')
    const [digest, stream] = JSON.parse(python(program, null)) as [string, string]
    expect(digestOfArrow(tableFromIPC(Buffer.from(stream, 'base64')))).toBe(digest)
  })
})
