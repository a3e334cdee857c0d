import { describe, expect, it } from 'vitest'
import { bindParameters } from '../../src/sql/parameters.js'
import { readQuery } from '../../src/sql/query-text.js'

const T0 = '"__travel_0"'
const travelsOf = (text: string) =>
  readQuery(text).travels.map(({ schema, name, unit, expression }) =>
    [schema, name, unit, expression].filter((part) => part !== undefined),
  )

describe('time travel', () => {
  it.each([
    ['t VERSION AS OF 12', ['t', 'version', '12']],
    ["t VERSION AS OF '12'", ['t', 'version', "'12'"]],
    ['t FOR VERSION AS OF 12', ['t', 'version', '12']],
    ['t version as of $v', ['t', 'version', '$v']],
    ["t TIMESTAMP AS OF '2026-11-01'", ['t', 'timestamp', "'2026-11-01'"]],
    ["t TIMESTAMP AS OF TIMESTAMP '2026-11-01 10:00:00'", ['t', 'timestamp', "TIMESTAMP '2026-11-01 10:00:00'"]],
    ["t FOR TIMESTAMP AS OF DATE '2026-11-01'", ['t', 'timestamp', "DATE '2026-11-01'"]],
    ['t TIMESTAMP AS OF $at', ['t', 'timestamp', '$at']],
    ['t@v12', ['t', 'version', '12']],
    ['t@20261101103000123', ['t', 'timestamp', "'2026-11-01 10:30:00.123'"]],
    ['t AT (VERSION => 3 + (1))', ['t', 'version', '3 + (1)']],
    ["t AT (TIMESTAMP => now() - INTERVAL '1' DAY)", ['t', 'timestamp', "now() - INTERVAL '1' DAY"]],
    ['"my ""t" VERSION AS OF 1', ['my "t', 'version', '1']],
    ['`my t`@v1', ['my t', 'version', '1']],
    ['main.t VERSION AS OF 1', ['main', 't', 'version', '1']],
    ['delta.`s3://b/t` VERSION AS OF 1', ['delta', 's3://b/t', 'version', '1']],
    ['version VERSION AS OF 1', ['version', 'version', '1']],
    ['t/* now */VERSION -- then\nAS OF 1', ['t', 'version', '1']],
  ])('is read from %s', (reference, expected) => {
    expect(travelsOf(`SELECT * FROM ${reference} AS a WHERE x = 1`)).toEqual([expected])
    expect(readQuery(`SELECT * FROM ${reference} AS a WHERE x = 1`).text).toBe(`SELECT * FROM ${T0} AS a WHERE x = 1`)
    expect(travelsOf(`WITH c AS (FROM ${reference}) SELECT * FROM b JOIN ${reference} USING (id)`)).toEqual([expected, expected])
  })

  it.each([
    'SELECT version, "at" FROM t',
    'SELECT version AS v, timestamp AS "of" FROM versions',
    "SELECT 't VERSION AS OF 3', $$t@v3$$ FROM t -- t VERSION AS OF 3",
    'SELECT a.b, [1, 2]@>[1] FROM t',
    'SELECT tags@>other, email FROM t',
    'SELECT @ -5, x @ y FROM t',
    'SELECT * FROM t AT TIME ZONE',
    "SELECT ts AT TIME ZONE 'UTC' FROM t FOR UPDATE",
    'SELECT * FROM at(1)',
  ])('is not seen in %s', (text) => {
    expect(readQuery(text)).toEqual({ text, travels: [], changes: [], asOfs: [], parameters: [] })
  })

  it.each([
    ['t VERSION AS OF', 15],
    ['t VERSION AS OF x', 16],
    ['t VERSION AS OF -1', 16],
    ['t TIMESTAMP AS OF (1)', 18],
  ])('has its mistake marked: %s', (text, position) => {
    expect(() => readQuery(text)).toThrow(expect.objectContaining({ code: 'SQL_INVALID', details: { position } }) as Error)
  })

  it.each(['t@latest', 't@12', 't@v', 't@20261101'])('does not know %s', (text) => {
    expect(() => readQuery(`FROM ${text}`)).toThrow(expect.objectContaining({ code: 'SQL_INVALID' }) as Error)
  })

  it('takes markers that nothing in the text goes by', () => {
    expect(readQuery('SELECT __TRAVEL_0 FROM t@v1').text).toBe('SELECT __TRAVEL_0 FROM "___travel_0"')
  })
})

describe('parameters', () => {
  it.each([
    ['SELECT ?, ?', 'SELECT $1, $2', ['1', '2']],
    ['SELECT $2, $1, $2', 'SELECT $1, $2, $1', ['2', '1']],
    ['SELECT $b, $a, $b', 'SELECT $1, $2, $1', ['b', 'a']],
    ['SELECT ?, $x, ?', 'SELECT $1, $2, $3', ['1', 'x', '2']],
    ['SELECT \'?\', "$1", $$?$$, ? -- ?', 'SELECT \'?\', "$1", $$?$$, $1 -- ?', ['1']],
    ['FROM t VERSION AS OF ? WHERE a = ?', `FROM ${T0} WHERE a = $1`, ['2']],
    ['SELECT ? FROM t AT (VERSION => ? + ?) WHERE a = ?', `SELECT $1 FROM ${T0} WHERE a = $2`, ['1', '4']],
    ['SELECT `a``b`, `c` FROM t', 'SELECT "a`b", "c" FROM t', []],
  ])('of %s are numbered in the order of their use', (text, rewritten, names) => {
    expect(readQuery(text)).toMatchObject({ text: rewritten, parameters: names })
  })

  it('inside of a version or time have their own names', () => {
    expect(travelsOf('SELECT ? FROM t AT (VERSION => ? + ?), s VERSION AS OF ?').map((travel) => travel.at(-1))).toEqual([
      '$2 + $3',
      '$4',
    ])
  })

  it('are bound by place or by name', () => {
    expect(bindParameters(['2', '1'], ['a', 'b', 'c'])).toEqual(['b', 'a'])
    expect(bindParameters(['b', 'a'], { a: 1n, b: null, c: true })).toEqual([null, 1n])
    expect(bindParameters([], undefined)).toEqual([])
  })

  it.each([
    ['x', { y: 1 }],
    ['x', undefined],
    ['2', ['only one']],
    ['x', ['a list']],
    ['constructor', {}],
    ['toString', {}],
    ['length', ['a list']],
  ])('without a value are named: %s', (parameter, values) => {
    expect(() => bindParameters([parameter], values as never)).toThrow(
      expect.objectContaining({ code: 'PARAMETER_MISSING', details: { parameter } }) as Error,
    )
  })

  it('take no Date without a time', () => {
    expect(() => bindParameters(['1'], [new Date(Number.NaN)])).toThrow(
      expect.objectContaining({ code: 'ARGUMENT_INVALID' }) as Error,
    )
  })
})
