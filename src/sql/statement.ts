import { DeltaError } from '../base/errors.js'
import { Cursor } from './cursor.js'
import type { Token } from './tokens.js'

/** A table as SQL names it: one of the catalog, or a location. */
export type TableName = { readonly name: string } | { readonly location: string }

export interface CreateColumn {
  readonly name: string
  readonly type: string
  readonly nullable: boolean
  readonly comment: string | undefined
}

export type Statement =
  | { readonly kind: 'query'; readonly text: string }
  | { readonly kind: 'explain'; readonly text: string }
  | {
      readonly kind: 'createTable'
      readonly table: TableName
      readonly ifNotExists: boolean
      readonly columns: readonly CreateColumn[]
      readonly partitionBy: readonly string[]
      readonly comment: string | undefined
      readonly properties: Readonly<Record<string, string>>
      readonly as: string | undefined
    }
  | {
      readonly kind: 'insert'
      readonly table: TableName
      readonly columns: readonly string[] | undefined
      readonly query: string
    }
  | { readonly kind: 'describe'; readonly table: TableName; readonly what: 'columns' | 'detail' }
  | { readonly kind: 'history'; readonly table: TableName; readonly limit: number | undefined }
  | { readonly kind: 'showTables' }
  | { readonly kind: 'optimize'; readonly table: TableName; readonly where: string | undefined }
  | { readonly kind: 'dropTable'; readonly table: TableName; readonly ifExists: boolean }

const QUERY_WORDS = ['select', 'with', 'from', 'values', '(', 'table']
/** Queries that DuckDB takes as a source of rows only. */
const SOURCE_WORDS = ['summarize', 'pivot', 'unpivot']

/** Delta's statements that this engine does not have, so that the error can say so rather than point at a word. */
const ELSEWHERE = 'alter analyze convert delete insert merge refresh reorg restore truncate update vacuum'.split(' ')

/** DuckDB's own statements, which act on the engine or on files rather than on tables of a lakehouse. */
const REFUSED = (
  'abort attach begin call checkpoint comment commit copy deallocate detach end execute export force grant import install kill load ' +
  'pragma prepare release reset revoke rollback savepoint set start transaction use'
).split(' ')

/**
 * Reads one statement. Queries are handed on as text; DuckDB parses them.
 *
 * @throws {DeltaError} `SQL_INVALID` with the position marked; `STATEMENT_UNSUPPORTED` for a statement or clause of Delta's
 * SQL that this engine does not have; `SQL_FORBIDDEN` for what is no statement of a table engine.
 */
export function parseStatement(text: string, tokens: readonly Token[]): Statement {
  const cursor = new Cursor(text, tokens)
  const first = cursor.peek()
  const word = first?.kind === 'word' || first?.kind === 'symbol' ? first.value : ''
  if (QUERY_WORDS.includes(word)) return { kind: 'query', text: cursor.rest('a query') }
  if (SOURCE_WORDS.includes(word)) return { kind: 'query', text: `SELECT * FROM (${cursor.rest('a query')}\n)` }
  if (cursor.accept('explain')) return explain(cursor)
  if (cursor.accept('create')) return createTable(cursor)
  if (cursor.accept('insert', 'into')) return insert(cursor)
  if (cursor.accept('describe') || cursor.accept('desc')) return describe(cursor)
  if (cursor.accept('show')) return show(cursor)
  if (cursor.accept('optimize') || cursor.accept('compact')) return optimize(cursor)
  if (cursor.accept('drop')) return drop(cursor)
  if (ELSEWHERE.includes(word)) throw unsupported(`${word.toUpperCase()} statements`)
  if (!REFUSED.includes(word)) throw cursor.unexpected('a statement')
  throw new DeltaError(
    'SQL_FORBIDDEN',
    'this statement is not allowed',
    { statement: first?.text.slice(0, 40) ?? '' },
    { hint: STATEMENTS },
  )
}

const STATEMENTS =
  'SELECT, EXPLAIN, CREATE TABLE, INSERT INTO, DESCRIBE [DETAIL | HISTORY], SHOW TABLES, OPTIMIZE and DROP TABLE are statements of deltaic'

function explain(cursor: Cursor): Statement {
  if (cursor.accept('analyze')) throw unsupported('EXPLAIN ANALYZE')
  return { kind: 'explain', text: cursor.rest('a query') }
}

function createTable(cursor: Cursor): Statement {
  if (cursor.accept('or', 'replace')) throw unsupported('CREATE OR REPLACE TABLE')
  if (!cursor.accept('table')) throw unsupported(`CREATE ${cursor.peek()?.text.toUpperCase() ?? ''}`)
  const ifNotExists = cursor.accept('if', 'not', 'exists')
  const table = tableName(cursor)
  const columns = isSymbol(cursor.peek(), '(') ? cursor.list(() => column(cursor)) : []
  let partitionBy: readonly string[] = []
  let comment: string | undefined
  let properties: Readonly<Record<string, string>> = {}
  let as: string | undefined
  while (!cursor.done) {
    if (cursor.accept('using')) cursor.expect('delta')
    else if (cursor.accept('partitioned', 'by')) partitionBy = cursor.list(() => cursor.identifier('a column'))
    else if (cursor.accept('comment')) comment = cursor.string('a comment in quotes')
    else if (cursor.accept('tblproperties')) properties = Object.fromEntries(cursor.list(() => property(cursor)))
    else if (cursor.accept('as')) as = cursor.rest('a query')
    else if (['cluster', 'location', 'shallow', 'clone'].includes(cursor.peek()?.value ?? ''))
      throw unsupported(`CREATE TABLE … ${cursor.peek()?.text ?? ''}`)
    else throw cursor.unexpected('PARTITIONED BY, COMMENT, TBLPROPERTIES or AS')
  }
  if (columns.length === 0 && as === undefined) throw cursor.unexpected('columns, or AS and a query')
  if (columns.length > 0 && as !== undefined)
    throw new DeltaError(
      'SQL_INVALID',
      'CREATE TABLE … AS takes its columns from the query',
      {},
      { hint: 'leave the column list out' },
    )
  return { kind: 'createTable', table, ifNotExists, columns, partitionBy, comment, properties, as }
}

const AFTER_TYPE = ['not', 'null', 'comment', 'default', 'generated']

function column(cursor: Cursor): CreateColumn {
  if (
    ['constraint', 'check', 'primary', 'foreign', 'unique'].includes(cursor.peek()?.value ?? '') &&
    cursor.peek()?.kind === 'word'
  )
    throw unsupported('constraints')
  const name = cursor.identifier('a column')
  const typeEnds = (token: Token) => isSymbol(token, ',') || (token.kind === 'word' && AFTER_TYPE.includes(token.value))
  const type = cursor.textUntil('a type', typeEnds, '([<)]>')
  let nullable = true
  let comment: string | undefined
  for (;;) {
    if (cursor.accept('not', 'null')) nullable = false
    else if (cursor.accept('null')) nullable = true
    else if (cursor.accept('comment')) comment = cursor.string('a comment in quotes')
    else if (cursor.accept('default')) throw unsupported('DEFAULT values')
    else if (cursor.accept('generated')) throw unsupported('GENERATED columns')
    else return { name, type, nullable, comment }
  }
}

function property(cursor: Cursor): readonly [string, string] {
  const first = cursor.next('a property')
  let key = first.kind === 'word' ? first.text : first.value
  while (cursor.accept('.')) key += `.${cursor.identifier('a property')}`
  cursor.accept('=')
  return [key, cursor.next('a value').value]
}

function insert(cursor: Cursor): Statement {
  const table = tableName(cursor)
  if (cursor.accept('replace')) throw unsupported('INSERT INTO … REPLACE WHERE')
  const nested =
    isSymbol(cursor.peek(), '(') &&
    ['select', 'with', 'from', 'values', '('].includes(cursor.peek(1)?.value ?? '') &&
    cursor.peek(1)?.kind !== 'quoted'
  const columns = isSymbol(cursor.peek(), '(') && !nested ? cursor.list(() => cursor.identifier('a column')) : undefined
  return { kind: 'insert', table, columns, query: cursor.rest('a query or VALUES') }
}

function describe(cursor: Cursor): Statement {
  if (cursor.accept('history')) {
    const table = tableName(cursor)
    const limit = cursor.accept('limit') ? Number(cursor.next('a number').value) : undefined
    cursor.end()
    return { kind: 'history', table, limit }
  }
  const what = cursor.accept('detail') ? 'detail' : 'columns'
  if (what === 'columns' && QUERY_WORDS.includes(cursor.peek()?.value ?? '') && cursor.peek()?.value !== 'table')
    return { kind: 'query', text: `SELECT * FROM (DESCRIBE ${cursor.rest('a query')}\n)` }
  cursor.accept('table')
  cursor.accept('extended')
  const table = tableName(cursor)
  cursor.end()
  return { kind: 'describe', table, what }
}

function show(cursor: Cursor): Statement {
  if (!cursor.accept('tables')) throw unsupported(`SHOW ${cursor.peek()?.text.toUpperCase() ?? ''}`)
  cursor.end()
  return { kind: 'showTables' }
}

function optimize(cursor: Cursor): Statement {
  const table = tableName(cursor)
  const where = cursor.accept('where')
    ? cursor.textUntil('a condition', (token) => token.kind === 'word' && token.value === 'zorder')
    : undefined
  if (cursor.accept('zorder')) throw unsupported('ZORDER BY')
  cursor.end()
  return { kind: 'optimize', table, where }
}

function drop(cursor: Cursor): Statement {
  if (!cursor.accept('table')) throw unsupported(`DROP ${cursor.peek()?.text.toUpperCase() ?? ''}`)
  const ifExists = cursor.accept('if', 'exists')
  const table = tableName(cursor)
  cursor.end()
  return { kind: 'dropTable', table, ifExists }
}

function tableName(cursor: Cursor): TableName {
  const name = cursor.identifier('a table')
  if (!cursor.accept('.')) return { name }
  const second = cursor.identifier('a table')
  if (name.toLowerCase() === 'delta') return { location: second }
  if (name.toLowerCase() === 'main' || name.toLowerCase() === 'default') return { name: second }
  throw new DeltaError(
    'TABLE_NOT_FOUND',
    'there is no such schema',
    { schema: name },
    { hint: 'tables of a lakehouse have no schema: use the name alone' },
  )
}

function isSymbol(token: Token | undefined, symbol: string): boolean {
  return token?.kind === 'symbol' && token.value === symbol
}

function unsupported(what: string): DeltaError {
  return new DeltaError('STATEMENT_UNSUPPORTED', `deltaic does not have ${what}`, {}, { hint: STATEMENTS })
}
