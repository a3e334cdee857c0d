import fc from 'fast-check'
import { expect, it } from 'vitest'
import { DeltaError } from '../../src/base/errors.js'
import { parseStatement, type Statement } from '../../src/sql/statement.js'
import { splitStatements, tokenize } from '../../src/sql/tokens.js'
import { renderStatement } from './render-statement.js'

const parse = (text: string) => parseStatement(text, tokenize(text))

const identifier = fc.oneof(
  fc.constantFrom('a', 'b', 'c', 'd', 'when', 'where', 'select', 'x y', '`', 'Ünï"\''),
  fc.string({ minLength: 1, maxLength: 6 }),
)
const quotable = fc.string({ maxLength: 8 })
const { expression } = fc.letrec<{ expression: string }>((tie) => {
  const inner = tie('expression')
  return {
    expression: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.constantFrom(
        '1',
        '-2.5',
        'a',
        't.end',
        't.case',
        '"when"',
        '`then`',
        "'it''s, WHERE (WHEN'",
        'NULL',
        'TRUE',
        '$p',
        "DATE '2026-01-01'",
        'a IS NOT NULL',
      ),
      fc.tuple(inner, inner).map(([x, y]) => `${x} + ${y}`),
      fc.tuple(inner, inner).map(([x, y]) => `f(${x}, ${y})`),
      fc.tuple(inner, inner, inner).map(([x, y, z]) => `CASE WHEN ${x} THEN ${y} ELSE ${z} END`),
      fc.tuple(inner, inner).map(([x, y]) => `CASE ${x} WHEN ${y} THEN CASE WHEN TRUE THEN 1 END END`),
      fc.tuple(inner, inner).map(([x, y]) => `{'k': ${x}, l: [${y}, 2]}`),
      inner.map((x) => `(SELECT ${x} FROM s WHERE b = 1)`),
      inner.map((x) => `a IN (${x}, 3)`),
      inner.map((x) => `(${x}) /* , WHEN */ IS DISTINCT FROM 1`),
    ),
  }
})
const type = fc.constantFrom(
  'INT',
  'STRING',
  'DECIMAL(10, 2)',
  'ARRAY<STRUCT<not: INT, comment: STRING>>',
  'MAP<STRING, INT>',
  'INT[]',
  'STRUCT(x INT, y TEXT)',
)
const query = expression.map((x) => `SELECT ${x} AS x FROM s WHERE a = 1`)
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined })
const some = <T>(value: fc.Arbitrary<T>) => fc.array(value, { minLength: 1, maxLength: 3 })
const path = some(identifier)
const table = fc.oneof(
  identifier.map((name) => ({ name })),
  identifier.map((location) => ({ location })),
)
const properties = fc.dictionary(quotable, quotable, { maxKeys: 3, noNullPrototype: true })
const asOf = fc.record({ unit: fc.constantFrom('version' as const, 'timestamp' as const), expression })
const spec = {
  type,
  nullable: fc.boolean(),
  comment: maybe(quotable),
  default: maybe(expression),
  generatedAs: maybe(expression),
  identity: maybe(
    fc.record({ allowsExplicit: fc.boolean(), start: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), step: fc.bigInt() }),
  ),
}
const column = fc.record({ name: identifier, ...spec })
const columnPosition = fc.oneof(
  fc.constant({ first: true as const }),
  identifier.map((after) => ({ after })),
)
const constraint = fc.record({ name: identifier, check: expression })
const assignment = fc.record({ column: path, value: maybe(expression) })
const of = <K extends string, T>(kind: K, shape: { [P in keyof T]: fc.Arbitrary<T[P]> }) =>
  fc.record({ kind: fc.constant(kind), ...shape })

const head = {
  table,
  mode: fc.constantFrom('create' as const, 'createOrReplace' as const, 'replace' as const),
  ifNotExists: fc.constant(false),
}
const createTable = of('createTable', {
  ...head,
  columns: some(column),
  constraints: fc.array(constraint, { maxLength: 2 }),
  partitionBy: fc.array(identifier, { maxLength: 2 }),
  clusterBy: maybe(fc.array(path, { maxLength: 2 })),
  location: maybe(quotable),
  comment: maybe(quotable),
  properties,
  as: fc.constant(undefined),
})
const createView = of('createView', {
  view: table,
  orReplace: fc.boolean(),
  ifNotExists: fc.constant(false),
  clusterBy: fc.array(path, { maxLength: 2 }),
  comment: maybe(quotable),
  properties,
  as: fc.constantFrom('SELECT a FROM t', 'SELECT count(*) AS n FROM t'),
})
const createTableAs = fc
  .tuple(createTable, query, fc.boolean())
  .map(([create, as, ifNotExists]) => ({ ...create, mode: 'create' as const, ifNotExists, columns: [], constraints: [], as }))
const clone = of('clone', {
  ...head,
  isDeep: fc.boolean(),
  source: table,
  asOf: maybe(asOf),
  properties,
  location: maybe(quotable),
})
const convert = of('convert', {
  location: identifier,
  collectStats: fc.boolean(),
  partitionBy: fc.array(fc.record({ name: identifier, type }), { maxLength: 2 }),
})

const insert = fc
  .record({
    table,
    mode: fc.constantFrom('append' as const, 'overwrite' as const, 'replaceWhere' as const),
    where: expression,
    partition: fc.array(fc.record({ column: identifier, value: maybe(expression) }), { maxLength: 2 }),
    columns: maybe(some(identifier)),
    byName: fc.boolean(),
    withSchemaEvolution: fc.boolean(),
    query: fc.oneof(query, fc.constantFrom('VALUES (1, DEFAULT), (2, 3)', 'WITH x AS (SELECT 1) FROM x', 'TABLE s')),
  })
  .map((i) => ({
    ...i,
    kind: 'insert' as const,
    where: i.mode === 'replaceWhere' ? i.where : undefined,
    byName: i.columns === undefined && i.byName,
  }))

const condition = maybe(expression)
const change = fc.oneof(
  of('delete', {}),
  of('updateAll', {}),
  fc.record({ kind: fc.constant('update' as const), set: some(assignment) }),
)
const insertion = fc.oneof(of('insertAll', {}), fc.record({ kind: fc.constant('insert' as const), values: some(assignment) }))
const clause = fc.oneof(
  fc.record({ when: fc.constantFrom('matched' as const, 'notMatchedBySource' as const), condition, action: change }),
  fc.record({ when: fc.constant('notMatched' as const), condition, action: insertion }),
)
const merge = of('merge', {
  table,
  alias: maybe(identifier),
  source: fc.oneof(
    query.map((q) => `(${q})`),
    fc.constantFrom('s', 'delta.`/x`', 's VERSION AS OF 3', 's@v3', "table_changes('s', 1, 2)"),
  ),
  sourceAlias: maybe(identifier),
  on: expression,
  withSchemaEvolution: fc.boolean(),
  clauses: some(clause),
})

const columnChange = fc.oneof(
  of('type', { type }),
  of('nullable', { nullable: fc.boolean() }),
  of('comment', { comment: quotable }),
  of('default', { expression: condition }),
  of('position', { position: columnPosition }),
  of('syncIdentity', {}),
)
const tableChange = fc.oneof(
  of('addColumns', { columns: some(fc.record({ column: path, ...spec, position: maybe(columnPosition) })) }),
  of('dropColumns', { columns: some(path), ifExists: fc.boolean() }),
  of('renameColumn', { column: path, to: identifier }),
  of('alterColumns', { changes: some(fc.record({ column: path, change: columnChange })) }),
  of('replaceColumns', { columns: some(column) }),
  of('setProperties', { properties: fc.dictionary(quotable, quotable, { minKeys: 1, maxKeys: 3, noNullPrototype: true }) }),
  of('unsetProperties', { keys: some(quotable), ifExists: fc.boolean() }),
  of('addConstraint', { constraint }),
  of('dropConstraint', { name: identifier, ifExists: fc.boolean() }),
  of('clusterBy', { columns: fc.array(path, { maxLength: 2 }) }),
  of('dropFeature', { feature: identifier, truncateHistory: fc.boolean() }),
  of('rename', { to: table }),
)

const statement = fc.oneof(
  query.map((text) => ({ kind: 'query' as const, text })),
  createTable,
  createTableAs,
  clone,
  convert,
  of('dropTable', { table, ifExists: fc.boolean() }),
  of('alterTable', { table, change: tableChange }),
  insert,
  of('copy', {
    table,
    file: quotable,
    options: properties.map((p) => Object.fromEntries(Object.entries(p).map(([k, v]) => [k.toLowerCase(), v]))),
  }),
  of('delete', { table, alias: maybe(identifier), where: condition }),
  of('update', { table, alias: maybe(identifier), set: some(assignment), where: condition }),
  of('truncate', { table }),
  merge,
  of('describe', { table, what: fc.constantFrom('columns' as const, 'extended' as const, 'detail' as const) }),
  of('history', { table, limit: maybe(fc.nat()) }),
  of('showProperties', { table, key: maybe(quotable) }),
  of('showColumns', { table }),
  of('showPartitions', { table }),
  of('showCreateTable', { table }),
  of('optimize', { table, full: fc.boolean(), where: condition, zorderBy: fc.array(path, { maxLength: 2 }) }),
  of('reorg', { table, where: condition }),
  of('vacuum', {
    table,
    mode: fc.constantFrom('lite' as const, 'full' as const),
    retainHours: maybe(fc.nat({ max: 10_000 })),
    dryRun: fc.boolean(),
  }),
  of('restore', { table, asOf }),
  of('undo', {
    table,
    versions: fc.record({ from: fc.nat(), to: fc.nat() }),
    where: condition,
    changed: fc.constantFrom('keep' as const, 'remove' as const),
    dryRun: fc.boolean(),
    views: fc.constantFrom('check' as const, 'skip' as const),
  }),
  of('fsck', { table, dryRun: fc.boolean() }),
  of('checkpoint', { table }),
  of('generate', { table, what: fc.constant('symlink_format_manifest') }),
  createView,
  of('dropView', { view: table, ifExists: fc.boolean() }),
  of('refreshViews', { views: fc.array(table, { minLength: 1, maxLength: 3 }), full: fc.boolean() }),
  of('rebuildView', { view: table, as: fc.constantFrom(undefined, 'SELECT 1 AS a') }),
  of('showViews', {}),
) as fc.Arbitrary<Statement>

it('every statement that is rendered reads as itself', () => {
  fc.assert(
    fc.property(statement, (written) => {
      expect(parse(renderStatement(written))).toEqual(written)
    }),
    { numRuns: 3000 },
  )
})

it('several statements in one text are told apart, and each reads as itself', () => {
  fc.assert(
    fc.property(some(statement), (written) => {
      const text = written.map(renderStatement).join(' ;\n-- and\n')
      const read = splitStatements(tokenize(text)).map((tokens) =>
        parseStatement(text.slice(0, tokens.at(-1)?.endExclusive), tokens),
      )
      expect(read).toEqual(written)
    }),
    { numRuns: 300 },
  )
})

const WORDS = (
  'create or replace table if not exists t ( ) , . a b = as select values insert into overwrite by name where partition update set delete from ' +
  'merge using on when matched then source target alter add drop rename column columns to change type comment default generated always ' +
  'identity start with increment constraint check tblproperties unset cluster none feature describe detail history show optimize zorder ' +
  'undo versions keep remove changed reorg apply purge vacuum retain hours dry run restore version timestamp of 1 2.5 \'x\' "y" `z` $p ? * case end [ ] { } @ v3 copy convert ' +
  'delta parquet table_changes fsck repair checkpoint generate for null first after location shallow deep clone is - ;'
).split(' ')

const orders = (text: string) => {
  try {
    for (const tokens of splitStatements(tokenize(text))) parseStatement(text, tokens)
  } catch (error) {
    expect(error).toBeInstanceOf(DeltaError)
    expect(['SQL_INVALID', 'SQL_FORBIDDEN', 'STATEMENT_UNSUPPORTED', 'TABLE_NOT_FOUND']).toContain((error as DeltaError).code)
  }
}

it('a heap of words is a statement or an error that says so', () => {
  const heads = fc.constantFrom(
    ...['create', 'replace', 'insert', 'update', 'merge', 'alter', 'delete', 'copy', 'describe', 'vacuum', 'restore', 'undo'],
  )
  const soup = fc.array(fc.constantFrom(...WORDS), { maxLength: 30 })
  fc.assert(
    fc.property(heads, soup, (first, words) => orders([first, ...words].join(' '))),
    { numRuns: 5000 },
  )
  fc.assert(
    fc.property(fc.string(), (text) => orders(text)),
    { numRuns: 1000 },
  )
})

it('a statement that is cut short or has a word too many is read or refused, never worse', () => {
  fc.assert(
    fc.property(statement, fc.nat(), fc.nat(), fc.constantFrom(...WORDS), (written, at, isCut, word) => {
      const text = renderStatement(written)
      const tokens = tokenize(text)
      const cut = tokens[at % tokens.length]?.start ?? 0
      orders(isCut % 2 === 0 ? text.slice(0, cut) : `${text.slice(0, cut)} ${word} ${text.slice(cut)}`)
    }),
    { numRuns: 3000 },
  )
})

it('a long statement is read in time that grows with its length', () => {
  const long = `UPDATE t SET a = ${'('.repeat(20_000)}1${')'.repeat(20_000)}, b = ${Array.from({ length: 20_000 }, () => '?').join(' + ')} WHERE c = ?`
  const startedAt = performance.now()
  expect(parse(long)).toMatchObject({ kind: 'update', where: 'c = $20001' })
  expect(performance.now() - startedAt).toBeLessThan(3000)
})
