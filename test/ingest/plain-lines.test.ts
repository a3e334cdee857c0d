// The readers of flat tables against the one that looks at every line: where they take a file, all read the same rows.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { plainRows } from '../../src/ingest/plain-lines.js'
import { lines, ndjsonReader } from '../../src/ingest/readers.js'
import { REGULAR_BYTES_MAX, regularRows } from '../../src/ingest/regular-lines.js'
import { field } from '../../src/protocol/schema.js'
import { openWorld } from '../support/world.js'

const world = await openWorld()
const FIELDS = [
  field('s', 'string'),
  field('l', 'long'),
  field('i', 'integer', false),
  field('b', 'byte'),
  field('d', 'double'),
  field('o', 'boolean'),
  field('day', 'date'),
  field('t', 'timestamp'),
  field('n', 'timestamp_ntz'),
]
const NAMES = FIELDS.map((f) => f.name)

/** What the readers make of a text, line by line; `undefined` for one that a reader refuses as a whole. */
async function allRead(text: string) {
  const file = world.spool.file('ndjson')
  await world.spool.write(file, Buffer.from(text))
  const first = NAMES.filter((name) => Object.keys(asObject(text.split('\n')[0] ?? '')).includes(name))
  const plain = plainRows(file, FIELDS, first)
  const regular = regularRows(file, [Buffer.from(text)], FIELDS, first)
  const line = `SELECT row_number() OVER () AS place, line AS raw FROM ${lines(file)}`
  const careful = `SELECT r.* FROM (${ndjsonReader(file, FIELDS, first).secondChance?.(line) ?? ''}) WHERE r IS NOT NULL ORDER BY place`
  const render = (query: string) =>
    world.database.rows<{ row: string }>(`SELECT to_json(q)::VARCHAR AS row FROM (${query}) AS q`).then(
      (rows) => rows.map(({ row }) => row),
      () => undefined,
    )
  return {
    regular: regular === undefined ? undefined : await render(regular),
    plain: plain === undefined ? undefined : await render(plain),
    careful: await render(careful),
  }
}

function asObject(line: string): object {
  try {
    return Object(JSON.parse(line)) as object
  } catch {
    return {}
  }
}

const ODD = (
  '0 -0 1 -5 1.0 1.5 1e3 1E-2 127 128 -129 2147483648 9223372036854775807 9223372036854775808 1e400 -1e400 true false null "" " " "x" "null" "true" "t" "yes" "1" "0" ' +
  '"1.0" "1e3" " 1" "1 " "+1" "0x10" "1_000" "NaN" "nan" "inf" "-Infinity" "infinity" "epoch" "2024-02-29" "2023-02-29" "2024-2-3" "24-02-03" "2024-02-29 " "2024-02-29T10" ' +
  '"2024-02-29T10:11" "2024-02-29T10:11:12" "2024-02-29 10:11:12.5" "2024-02-29T10:11:12.123456789Z" "2024-02-29T10:11:12+02:00" "2024-02-29T10:11:12+02" "2024-02-29 10:11:12 Europe/Berlin" ' +
  '"2024-02-29T24:00:00" "0001-01-01" "0001-01-01 (BC)" "99999-01-01" "10:11:12" "2024-02-29T10:11:12z" "a\\u0000b" "\\u00e9" "\\ud83d\\ude00" {} [] {"a":[1, 2]} [null,{"b":1}] "{}"'
)
  .match(/"(?:[^"\\]|\\.)*"|\{[^ ]*(?: [^ ]*\})?|\[[^ ]*|[^ ]+/g)
  ?.filter((text) => {
    try {
      JSON.parse(text)
      return true
    } catch {
      return /^-?1e400$/.test(text)
    }
  }) as string[]

describe('plain lines', () => {
  const value = fc.oneof(
    fc.constantFrom(...ODD),
    fc.json({ maxDepth: 2 }),
    fc.string().map((text) => JSON.stringify(text)),
  )
  const plainLine = fc.tuple(fc.constantFrom(...NAMES), value).map(([name, odd]) => {
    const all: Record<string, string> = Object.fromEntries(NAMES.map((each) => [each, each === 'i' ? '7' : 'null']))
    return `{${Object.entries({ ...all, [name]: odd })
      .map(([key, text]) => `${JSON.stringify(key)}:${text}`)
      .join(',')}}`
  })
  const oddLine = fc.oneof(
    fc
      .array(fc.tuple(fc.constantFrom(...NAMES, 'other', 'S'), value), { maxLength: 4 })
      .map((members) => `{${['"i":1', ...members.map(([key, text]) => `${JSON.stringify(key)}:${text}`)].join(',')}}`),
    value,
    fc.constantFrom(
      '',
      '  ',
      '{"i":1}{"i":2}',
      '{"i":1},',
      '{"i":1',
      '{"i":1,}',
      '[{"i":1}]',
      '{"i":1} // x',
      "{'i':1}",
      '{"\\u0069":1}',
      '{"i":NaN}',
    ),
  )

  it('are read as the careful reader reads them, one odd value at a time', async () => {
    await fc.assert(
      fc.asyncProperty(plainLine, async (line) => {
        const { regular, plain, careful } = await allRead(`${line}\n`)
        if (plain?.length === 1) expect(plain).toEqual(careful)
        if (regular?.length === 1) expect(regular).toEqual(careful)
      }),
      { numRuns: 200 },
    )
  })

  it('are left to the careful reader, or read as it reads them, whatever stands in a file', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(plainLine, oddLine), { minLength: 1, maxLength: 4 }), async (some) => {
        const { regular, plain, careful } = await allRead(`${some.join('\n')}\n`)
        if (plain?.length === some.length) expect(plain).toEqual(careful)
        if (regular?.length === some.length) expect(regular).toEqual(careful)
      }),
      { numRuns: 150 },
    )
  })

  it('are taken at all where they are plain', async () => {
    const lines = ['{"i":1,"s":"x","t":"2024-02-29T10:11:12.345Z","d":1.25}', '{"s":null,"i":2}', '{"i":3,"o":true}']
    expect((await allRead(lines.join('\n'))).plain?.length).toBe(3)
  })

  it('are taken at once where a program wrote them, and then are what the careful reader reads', async () => {
    const digits = (max: number) => fc.bigInt({ min: -(10n ** BigInt(max)) + 1n, max: 10n ** BigInt(max) - 1n }).map(String)
    const text = fc.string({ unit: fc.constantFrom('a', 'Z', 'é', '日', '😀', ' ', '\\', '"', '/', '\n', '\t', '{', ',') })
    const time = fc.date({ min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true })
    const double = fc.tuple(digits(15), fc.nat(999999)).map(([whole, rest]) => `${whole}.${rest}`)
    const nullable = (value: fc.Arbitrary<string>) => fc.oneof({ weight: 5, arbitrary: value }, fc.constant('null'))
    const row = fc
      .tuple(
        nullable(text.map((each) => JSON.stringify(each))),
        nullable(digits(18)),
        digits(9),
        nullable(digits(2)),
        nullable(fc.oneof(double, digits(15))),
        nullable(fc.constantFrom('true', 'false')),
        nullable(time.map((each) => JSON.stringify(each.toISOString().slice(0, 10)))),
        nullable(time.map((each) => JSON.stringify(each.toISOString()))),
        nullable(time.map((each) => JSON.stringify(each.toISOString().slice(0, -1)))),
      )
      .map((values) => `{${NAMES.map((name, at) => `"${name}":${values[at]}`).join(',')}}`)
    await fc.assert(
      fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 20 }), async (some) => {
        const { regular, careful } = await allRead(`${some.join('\n')}\n`)
        expect(regular).toBeDefined()
        expect(regular).toEqual(careful)
      }),
      { numRuns: 60 },
    )
  })

  it('are looked at one by one where a line differs, and where they are many', () => {
    const regular = (text: string, first = ['i', 's']) => regularRows('f', [Buffer.from(text)], FIELDS, first) !== undefined
    expect(regular('{"i":1,"s":"x"}\n{"i": 2, "s": null}\n')).toBe(true)
    for (const odd of [
      '{"i":1}',
      '{"s":"x","i":1}',
      '{"i":1.0,"s":"x"}',
      '{"i":null,"s":"x"}',
      '{"i":1,"s":"\\u0000"}',
      '{"i":1,"s":"x"} ',
      '',
    ])
      expect(regular(`{"i":1,"s":"x"}\n${odd}\n`)).toBe(false)
    expect(regular('{"i":1,"s":"x"}')).toBe(false)
    expect(regular('{"s":"x"}\n', ['s'])).toBe(false)
    const longer = '{"i":1,"s":"x"}\n'.repeat(REGULAR_BYTES_MAX / 16 + 1)
    expect(regular(longer)).toBe(false)
  })

  it('are not tried for columns of other types, nor after a first line with unknown fields', () => {
    expect(plainRows('f', [field('a', 'float')], [])).toBeUndefined()
    expect(plainRows('f', [field('a', { type: 'array', elementType: 'long', containsNull: true })], [])).toBeUndefined()
    expect(plainRows('f', FIELDS, ['i', 'other'])).toBeUndefined()
  })
})
