import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Reference, type ReferenceTable } from './reference.js'

/** Literals of each type, chosen to lie beside one another and beside what statistics can hold. */
const POOLS: Readonly<Record<string, readonly string[]>> = {
  BIGINT: [
    "'-9223372036854775808'",
    '-9007199254740993',
    '-1',
    '0',
    '1',
    '9007199254740992',
    '9007199254740993',
    '9223372036854775807',
  ],
  STRING: [
    'a',
    'b',
    "it's",
    `${'a'.repeat(32)}b`,
    `${'a'.repeat(32)}c`,
    `${'é'.repeat(40)}`,
    `${'😀'.repeat(33)}x`,
    '\uffff',
    '\u{10ffff}',
    'A',
    'x\ni=1\ny',
    '%',
    "a' OR '1'='1",
  ].map(quoted),
  DOUBLE: [
    "'nan'",
    "'inf'",
    "'-inf'",
    "'-0.0'",
    '0',
    "'0.1'",
    "'0.30000000000000004'",
    "'0.7364028460118949'",
    "'1e300'",
    "'-1.5'",
    "'5e-324'",
  ],
  FLOAT: ["'nan'", "'inf'", "'-inf'", "'-0.0'", "'0.1'", "'1e30'", "'16777217'", "'3.4e38'", "'-1.5'"],
  'DECIMAL(18,2)': [
    '0',
    '-0.01',
    '0.01',
    "'1234567890123456.78'",
    "'1234567890123456.79'",
    "'-9999999999999999.99'",
    "'9999999999999999.99'",
  ],
  'DECIMAL(38,10)': [
    '0',
    "'-12345678901234567890.0000000001'",
    "'12345678901234567890.1234567890'",
    "'12345678901234567890.1234567891'",
  ],
  TIMESTAMP: [
    '1969-12-31 23:59:59.999999+00',
    '1970-01-01 00:00:00+00',
    '2024-01-01 00:00:00.000999+00',
    '2024-01-01 00:00:00.001+00',
    '2024-01-01 12:00:00+05',
  ].map(quoted),
  TIMESTAMP_NTZ: [
    '1969-12-31 23:59:59.999999',
    '2024-01-01 00:00:00',
    '2024-01-01 00:00:00.000001',
    '2024-02-01 00:00:00.999999',
  ].map(quoted),
  DATE: ['0001-01-01', '1969-12-31', '1970-01-01', '2024-02-29', '9999-12-31', '12024-01-01'].map(quoted),
  BOOLEAN: ['true', 'false'],
}
const PARTITIONS = ['BIGINT', 'STRING', 'DOUBLE', 'DECIMAL(18,2)', 'TIMESTAMP', 'TIMESTAMP_NTZ', 'DATE', 'BOOLEAN']
const COLUMNS = Object.keys(POOLS).map((type, index) => [`c${index}`, type] as const)
const ENGINE_TYPES: Readonly<Record<string, string>> = { STRING: 'VARCHAR', TIMESTAMP: 'TIMESTAMPTZ', TIMESTAMP_NTZ: 'TIMESTAMP' }

function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

function literalOf(type: string) {
  return fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(...(POOLS[type] ?? [])) },
    { weight: 1, arbitrary: fc.constant('NULL') },
  )
}

const table = fc.constantFrom(...PARTITIONS).chain((partition) => {
  const columns = [['id', 'INT'], ['p', partition], ...COLUMNS, ['st', 'STRUCT<x: BIGINT, y: STRUCT<z: STRING>>']] as const
  const struct = fc.tuple(literalOf('BIGINT'), literalOf('STRING')).map(([x, z]) => `{'x': ${x}, 'y': {'z': ${z}}}`)
  const row = fc.tuple(
    // The writer makes a folder of a partition value, and folders have short names.
    literalOf(partition).filter((value) => encodeURIComponent(value).length < 200),
    fc.tuple(...COLUMNS.map(([, type]) => literalOf(type))),
    fc.oneof(struct, fc.constant('NULL')),
  )
  return fc.array(fc.array(row, { minLength: 1, maxLength: 3 }), { minLength: 2, maxLength: 5 }).map((commits) => {
    let id = 0
    return {
      columns,
      partitionBy: ['p'],
      commits: commits.map((rows) => rows.map(([p, values, st]) => [String(id++), p, ...values, st])),
    }
  })
})

/** More of them find more. */
const RUNS = Number(process.env['DELTAIC_PROPERTY_RUNS'] ?? 6)
const OPERATORS = ['=', '<', '<=', '>', '>=', '<>', 'IS DISTINCT FROM', 'IS NOT DISTINCT FROM']

function predicateOn(columns: ReferenceTable['columns']): fc.Arbitrary<string> {
  const reference = fc
    .constantFrom(
      ...columns.filter(([name]) => name !== 'id' && name !== 'st'),
      ['st.x', 'BIGINT'] as const,
      ['st.y.z', 'STRING'] as const,
    )
    .map(([name, type]) => ({ name, type, cast: ENGINE_TYPES[type] ?? type }))
  const comparison = reference.chain(({ name, type, cast }) => {
    const literal = literalOf(type).map((value) => `${value}::${cast}`)
    return fc.oneof(
      fc.tuple(fc.constantFrom(...OPERATORS), literal).map(([operator, value]) => `${name} ${operator} ${value}`),
      fc.tuple(fc.constantFrom('=', '<', '>='), literal).map(([operator, value]) => `${value} ${operator} ${name}`),
      fc.array(literal, { minLength: 1, maxLength: 4 }).map((values) => `${name} IN (${values.join(', ')})`),
      fc.tuple(literal, literal).map(([low, high]) => `${name} BETWEEN ${low} AND ${high}`),
      fc.constantFrom(`${name} IS NULL`, `${name} IS NOT NULL`, `coalesce(${name} = ${name}, false)`),
      literal.map((value) => `${name}::VARCHAR = (${value})::VARCHAR`),
    )
  })
  const column = (type: string) => columns.find(([name, own]) => own === type && name !== 'p')?.[0] ?? 'id'
  const special = fc.constantFrom(
    `${column('STRING')} LIKE 'a%'`,
    `${column('STRING')} LIKE '%b'`,
    `${column('STRING')} NOT LIKE 'a%'`,
    `starts_with(${column('STRING')}, '${'a'.repeat(32)}')`,
    `upper(${column('STRING')}) = 'A'`,
    `date_trunc('day', ${column('TIMESTAMP')}) = TIMESTAMPTZ '2024-01-01'`,
    `date_trunc('month', ${column('TIMESTAMP_NTZ')}) >= TIMESTAMP '2024-01-01'`,
    `year(${column('DATE')}) = 2024`,
    `${column('TIMESTAMP')}::DATE = DATE '2024-01-01'`,
    `${column('BIGINT')} / 2 > 0`,
    `abs(${column('DOUBLE')}) < 1`,
    `isnan(${column('DOUBLE')})`,
    `${column('DECIMAL(18,2)')}::DOUBLE > 0`,
    `${column('FLOAT')} = 0.1`,
    `${column('DOUBLE')} > 0.1`,
    `${column('BIGINT')} < 0.5`,
    column('BOOLEAN'),
    'st IS NULL',
  )
  return fc.letrec<{ node: string }>((tie) => ({
    node: fc.oneof(
      { depthSize: 'small', maxDepth: 2 },
      { weight: 5, arbitrary: comparison },
      { weight: 2, arbitrary: special },
      { weight: 1, arbitrary: tie('node').map((inner) => `NOT (${inner})`) },
      {
        weight: 3,
        arbitrary: fc
          .tuple(tie('node'), fc.constantFrom('AND', 'OR'), tie('node'))
          .map(([a, word, b]) => `(${a}) ${word} (${b})`),
      },
    ),
  })).node
}

/** What may be answered from fewer files than hold the rows. */
function shortOn(columns: ReferenceTable['columns']): fc.Arbitrary<(table: string) => string> {
  const column = fc.constantFrom(...columns.map(([name]) => name).filter((name) => name !== 'st'))
  const where = fc.option(predicateOn(columns)).map((predicate) => (predicate === null ? '' : `WHERE ${predicate}`))
  return fc.oneof(
    fc.tuple(column, where).map(
      ([c, which]) =>
        (name: string) =>
          `SELECT min(${c}), count(${c}), max(${c}), count(*) FROM ${name} ${which}`,
    ),
    fc.tuple(column, where, fc.constantFrom('', 'DESC', 'NULLS FIRST', 'DESC NULLS FIRST'), fc.integer({ min: 1, max: 5 })).map(
      ([c, which, way, limit]) =>
        (name: string) =>
          `SELECT id FROM ${name} ${which} ORDER BY ${c} ${way}, id LIMIT ${limit}`,
    ),
  )
}

const cases = table.chain((made) =>
  fc.tuple(
    fc.constant(made),
    fc.array(predicateOn(made.columns), { minLength: 20, maxLength: 30 }),
    fc.array(shortOn(made.columns), { minLength: 20, maxLength: 30 }),
  ),
)

describe('skipping files', () => {
  let reference: Reference
  let tables = 0

  beforeAll(async () => {
    reference = await Reference.open('memory:pruning-property')
  })
  afterAll(() => reference?.close())

  it(
    'never changes an answer',
    async () => {
      await fc.assert(
        fc.asyncProperty(cases, async ([made, predicates, short]) => {
          const name = `t${tables++}`
          await reference.fill({ name, ...made })
          for (const query of [
            ...predicates.map((predicate) => `SELECT id FROM ${name} WHERE ${predicate}`),
            ...short.map((ask) => ask(name)),
          ]) {
            const { lake, engine } = await reference.both(query)
            expect(lake, query).toEqual(engine)
          }
          const { lake, engine } = await reference.both(`SELECT * FROM ${name}`)
          expect(lake).toEqual(engine)
        }),
        { numRuns: RUNS, endOnFailure: true },
      )
      expect(reference.filesSkipped).toBeGreaterThan(reference.filesRead / 10)
    },
    60_000 + RUNS * 5_000,
  )
})
