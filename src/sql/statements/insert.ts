import type { Cursor } from '../cursor.js'
import { type Token, tokenize } from '../tokens.js'
import { readTableName, type TableName } from './names.js'
import { readProperties } from './properties.js'

/** Which rows of the table go when the new ones come. */
export type InsertMode = 'append' | 'overwrite' | 'replaceWhere'

/** `PARTITION (c = v, d)`: a column without a value takes it from the query. */
export interface PartitionValue {
  readonly column: string
  readonly value: string | undefined
}

export interface Insert {
  readonly kind: 'insert'
  readonly table: TableName
  readonly mode: InsertMode
  /** The condition of REPLACE WHERE. */
  readonly where: string | undefined
  readonly partition: readonly PartitionValue[]
  readonly columns: readonly string[] | undefined
  /** Whether the query's columns find the table's by their names. */
  readonly byName: boolean
  readonly withSchemaEvolution: boolean
  /** A query or VALUES; DEFAULT may stand in VALUES (see `fillDefaults`). */
  readonly query: string
}

/** `COPY t FROM 'file' (FORMAT json, …)`: option names are in lower case. */
export interface Copy {
  readonly kind: 'copy'
  readonly table: TableName
  readonly file: string
  readonly options: Readonly<Record<string, string>>
}

const QUERY_WORDS = ['select', 'with', 'from', 'values', 'table']

/** Behind INSERT. */
export function readInsert(cursor: Cursor): Insert {
  const withSchemaEvolution = cursor.accept('with', 'schema', 'evolution')
  const overwrites = cursor.accept('overwrite')
  if (!overwrites) cursor.expect('into')
  else cursor.accept('into')
  cursor.accept('table')
  const table = readTableName(cursor)
  const partition = cursor.accept('partition') ? cursor.list(() => readPartitionValue(cursor)) : []
  const columns = cursor.isAt('(') && !isQueryInBrackets(cursor) ? cursor.list(() => cursor.identifier('a column')) : undefined
  const byName = columns === undefined && cursor.accept('by', 'name')
  const where = !overwrites && cursor.accept('replace', 'where') ? readReplaceWhere(cursor) : undefined
  const mode = overwrites ? 'overwrite' : where === undefined ? 'append' : 'replaceWhere'
  const query = cursor.rest('a query or VALUES')
  return { kind: 'insert', table, mode, where, partition, columns, byName, withSchemaEvolution, query }
}

/** The condition goes on until a query begins. */
function readReplaceWhere(cursor: Cursor): string {
  return cursor.textUntil('a condition', () => {
    if (cursor.isAt('from')) return cursor.peek(-1)?.value !== 'distinct'
    if (cursor.isAt('with')) return cursor.peek(1)?.value !== 'time'
    return cursor.isAt('select', 'values', 'table')
  })
}

function readPartitionValue(cursor: Cursor): PartitionValue {
  const column = cursor.identifier('a column')
  const value = cursor.accept('=') ? cursor.textUntil('a value', () => cursor.isAt(',')) : undefined
  return { column, value }
}

function isQueryInBrackets(cursor: Cursor): boolean {
  const inside = cursor.peek(1)
  return (inside?.kind === 'word' && QUERY_WORDS.includes(inside.value)) || (inside?.kind === 'symbol' && inside.value === '(')
}

/** Behind COPY. */
export function readCopy(cursor: Cursor): Copy {
  const table = readTableName(cursor)
  cursor.expect('from')
  const file = cursor.string('a file in quotes')
  cursor.accept('with')
  const options = cursor.isAt('(') ? readProperties(cursor) : {}
  cursor.end()
  const lower = Object.entries(options).map(([name, value]) => [name.toLowerCase(), value])
  return { kind: 'copy', table, file, options: Object.fromEntries(lower) as Record<string, string> }
}

/**
 * VALUES with an expression for each DEFAULT that stands for a whole value; other queries come back as they are.
 *
 * @param expressionOf of the place in the row, from 0.
 */
export function fillDefaults(query: string, expressionOf: (column: number) => string): string {
  if (!/\bdefault\b/i.test(query)) return query
  const tokens = tokenize(query)
  if (tokens[0]?.kind !== 'word' || tokens[0].value !== 'values') return query
  let out = ''
  let at = 0
  let depth = 0
  let column = 0
  for (const [index, token] of tokens.entries()) {
    if (token.kind === 'symbol') {
      if ('([{'.includes(token.value) && ++depth === 1) column = 0
      else if (')]}'.includes(token.value)) depth--
      else if (token.value === ',' && depth === 1) column++
    }
    const standsAlone = isSymbol(tokens[index - 1], '(,') && isSymbol(tokens[index + 1], ',)')
    if (depth !== 1 || token.kind !== 'word' || token.value !== 'default' || !standsAlone) continue
    out += `${query.slice(at, token.start)}(${expressionOf(column)})`
    at = token.endExclusive
  }
  return out + query.slice(at)
}

function isSymbol(token: Token | undefined, symbols: string): boolean {
  return token?.kind === 'symbol' && symbols.includes(token.value)
}
