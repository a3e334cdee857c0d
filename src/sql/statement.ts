import { DeltaError } from '../base/errors.js'
import { Cursor } from './cursor.js'
import { type AlterTable, readAlter, readComment } from './statements/alter.js'
import { type Clone, type Convert, readConvert } from './statements/clone.js'
import { type CreateTable, readCreate } from './statements/create.js'
import { type Describe, readDescribe, readShow, type Show } from './statements/describe.js'
import { type Delete, readDelete, readTruncate, readUpdate, type Truncate, type Update } from './statements/dml.js'
import { type Copy, type Insert, readCopy, readInsert } from './statements/insert.js'
import {
  type Checkpoint,
  type Fsck,
  type Generate,
  type Optimize,
  type Reorg,
  type Restore,
  readCheckpoint,
  readFsck,
  readGenerate,
  readOptimize,
  readReorg,
  readRestore,
  readUndo,
  readVacuum,
  type Undo,
  type Vacuum,
} from './statements/maintenance.js'
import { type Merge, readMerge } from './statements/merge.js'
import { readTableName, type TableName } from './statements/names.js'
import { STATEMENTS, unsupported } from './statements/unsupported.js'
import { type DropView, readDropView, readRebuild, readRefresh, type ViewStatement } from './statements/views.js'
import type { Token } from './tokens.js'

/** A statement; the queries and expressions in it are text, in DuckDB's SQL. */
export type Statement =
  | Query
  | CreateTable
  | Clone
  | Convert
  | DropTable
  | AlterTable
  | Insert
  | Copy
  | Delete
  | Update
  | Truncate
  | Merge
  | Describe
  | Show
  | Optimize
  | Reorg
  | Vacuum
  | Restore
  | Undo
  | Fsck
  | Checkpoint
  | Generate
  | ViewStatement

export type Query =
  | { readonly kind: 'query'; readonly text: string }
  | { readonly kind: 'explain'; readonly text: string; readonly analyze: boolean }

export interface DropTable {
  readonly kind: 'dropTable'
  readonly table: TableName
  readonly ifExists: boolean
}

const READING: ReadonlySet<Statement['kind']> = new Set([
  'query',
  'explain',
  'describe',
  'history',
  'showTables',
  'showViews',
  'showProperties',
  'showColumns',
  'showPartitions',
  'showCreateTable',
])

/** Whether a statement leaves everything as it is. */
export function isReading(statement: Statement): boolean {
  return READING.has(statement.kind)
}

const QUERY_WORDS = ['select', 'with', 'from', 'values', '(', 'table']
/** Queries that DuckDB takes as a source of rows only. */
const SOURCE_WORDS = ['summarize', 'pivot', 'unpivot']

const READERS: Readonly<Record<string, (cursor: Cursor) => Statement>> = {
  explain: readExplain,
  create: (cursor) => readCreate(cursor, 'create'),
  replace: (cursor) => readCreate(cursor, 'replace'),
  drop: readDrop,
  convert: readConvert,
  alter: readAlter,
  comment: readComment,
  insert: readInsert,
  delete: readDelete,
  update: readUpdate,
  truncate: readTruncate,
  merge: readMerge,
  describe: readDescription,
  desc: readDescription,
  show: readShow,
  optimize: readOptimize,
  compact: readOptimize,
  reorg: readReorg,
  vacuum: readVacuum,
  restore: readRestore,
  undo: readUndo,
  fsck: readFsck,
  generate: readGenerate,
  refresh: readRefresh,
  rebuild: readRebuild,
}

/** Statements of Spark's that this engine does not have, so that the error can say so rather than point at a word. */
const ELSEWHERE = ['analyze', 'cache', 'uncache']

/** DuckDB's own statements, which act on the engine or on files rather than on tables of a lakehouse. */
const REFUSED = (
  'abort attach begin call checkpoint commit copy deallocate detach end execute export force grant import install kill load ' +
  'pragma prepare release reset revoke rollback savepoint set start transaction use'
).split(' ')

/**
 * Reads one statement. Queries and expressions are handed on as text; DuckDB parses them.
 *
 * @throws {DeltaError} `SQL_INVALID` with the position marked; `STATEMENT_UNSUPPORTED` for a statement or clause of Spark's
 * SQL that this engine does not have; `SQL_FORBIDDEN` for what is no statement of a table engine.
 */
export function parseStatement(text: string, tokens: readonly Token[]): Statement {
  const marks = tokens.filter(({ kind, value }) => kind === 'parameter' && value === '')
  const cursor = new Cursor(text, tokens, marks)
  const first = cursor.peek()
  const word = first?.kind === 'word' || first?.kind === 'symbol' ? first.value : ''
  if (QUERY_WORDS.includes(word)) return { kind: 'query', text: cursor.rest('a query') }
  if (SOURCE_WORDS.includes(word)) return { kind: 'query', text: `SELECT * FROM (${cursor.rest('a query')}\n)` }
  const read = readerOf(word, tokens)
  if (read) {
    cursor.next('a statement')
    return read(cursor)
  }
  if (ELSEWHERE.includes(word)) throw unsupported(`${word.toUpperCase()} statements`)
  if (!REFUSED.includes(word)) throw cursor.unexpected('a statement')
  throw new DeltaError(
    'SQL_FORBIDDEN',
    'this statement is not allowed',
    { statement: first?.text.slice(0, 40) ?? '' },
    { hint: STATEMENTS },
  )
}

/** Of COPY and CHECKPOINT, which DuckDB has too, only what is about a table of the lakehouse is a statement here. */
function readerOf(word: string, tokens: readonly Token[]): ((cursor: Cursor) => Statement) | undefined {
  if (word === 'checkpoint') return tokens.length > 1 ? readCheckpoint : undefined
  if (word === 'copy') return isCopyFrom(tokens) ? readCopy : undefined
  return Object.hasOwn(READERS, word) ? READERS[word] : undefined
}

function isCopyFrom(tokens: readonly Token[]): boolean {
  const to = tokens.slice(1, 5).find(({ kind, value }) => kind === 'word' && (value === 'from' || value === 'to'))
  return to?.value === 'from'
}

function readExplain(cursor: Cursor): Query {
  const analyze = cursor.accept('analyze')
  return { kind: 'explain', text: cursor.rest('a query'), analyze }
}

/** DESCRIBE of a table, or of a query's columns. */
function readDescription(cursor: Cursor): Statement {
  const isQuery = cursor.isAt(...QUERY_WORDS.filter((word) => word !== 'table'))
  return isQuery ? { kind: 'query', text: `SELECT * FROM (DESCRIBE ${cursor.rest('a query')}\n)` } : readDescribe(cursor)
}

function readDrop(cursor: Cursor): DropTable | DropView {
  if (cursor.accept('materialized', 'view')) return readDropView(cursor)
  if (!cursor.accept('table')) throw unsupported(`DROP ${cursor.peek()?.text.toUpperCase() ?? ''}`.trim())
  const ifExists = cursor.accept('if', 'exists')
  const table = readTableName(cursor)
  cursor.end()
  return { kind: 'dropTable', table, ifExists }
}
