import type { Cursor } from '../cursor.js'
import type { Token } from '../tokens.js'
import { type Assignment, readAssignments, readValue } from './dml.js'
import { type ColumnPath, readAlias, readColumnPath, readTableName, type TableName } from './names.js'

export interface Merge {
  readonly kind: 'merge'
  readonly table: TableName
  readonly alias: string | undefined
  /** What may stand behind FROM, without its alias: a table, at a version too, a query in brackets, or a table function. */
  readonly source: string
  readonly sourceAlias: string | undefined
  readonly on: string
  readonly withSchemaEvolution: boolean
  /** In the order in which they are tried. */
  readonly clauses: readonly MergeClause[]
}

/** What happens to a row: of the target where it is matched or the source lacks it, of the source where it is not matched. */
export type MergeClause =
  | {
      readonly when: 'matched' | 'notMatchedBySource'
      readonly condition: string | undefined
      readonly action: MergeDelete | MergeUpdate | MergeUpdateAll
    }
  | { readonly when: 'notMatched'; readonly condition: string | undefined; readonly action: MergeInsert | MergeInsertAll }

interface MergeDelete {
  readonly kind: 'delete'
}
interface MergeUpdate {
  readonly kind: 'update'
  readonly set: readonly Assignment[]
}
/** `UPDATE SET *` */
interface MergeUpdateAll {
  readonly kind: 'updateAll'
}
interface MergeInsert {
  readonly kind: 'insert'
  readonly values: readonly Assignment[]
}
/** `INSERT *` */
interface MergeInsertAll {
  readonly kind: 'insertAll'
}

/** Behind MERGE. */
export function readMerge(cursor: Cursor): Merge {
  const withSchemaEvolution = cursor.accept('with', 'schema', 'evolution')
  cursor.expect('into')
  const table = readTableName(cursor)
  const alias = readAlias(cursor, 'using')
  cursor.expect('using')
  const { source, sourceAlias } = readSource(cursor)
  cursor.expect('on')
  const on = cursor.textUntil('a condition', () => cursor.isAt('when'))
  const clauses: MergeClause[] = []
  do {
    cursor.expect('when')
    clauses.push(readClause(cursor))
  } while (!cursor.done)
  return { kind: 'merge', table, alias, source, sourceAlias, on, withSchemaEvolution, clauses }
}

/** An alias is the last name before ON, when what stands before it is whole without it. */
function readSource(cursor: Cursor): Pick<Merge, 'source' | 'sourceAlias'> {
  const isName = (token: Token | undefined) => token?.kind === 'word' || token?.kind === 'quoted'
  const isPart = (token: Token | undefined) => token?.kind === 'symbol' && ['.', '@'].includes(token.value)
  const start = cursor.peek()
  const source = cursor.textUntil('a table or a query in brackets', (token) => {
    if (cursor.isAt('on')) return true
    if (token === start || !isName(token) || isPart(cursor.peek(-1))) return false
    const next = cursor.peek(1)
    if (cursor.isAt('as')) return isName(next) && next?.value !== 'of'
    return next?.kind === 'word' && next.value === 'on'
  })
  return { source, sourceAlias: readAlias(cursor, 'on') }
}

function readClause(cursor: Cursor): MergeClause {
  if (cursor.accept('matched')) return { when: 'matched', ...readChange(cursor) }
  cursor.expect('not', 'matched')
  if (cursor.accept('by', 'source')) return { when: 'notMatchedBySource', ...readChange(cursor) }
  cursor.accept('by', 'target')
  const condition = readCondition(cursor)
  cursor.expect('insert')
  if (cursor.accept('*')) return { when: 'notMatched', condition, action: { kind: 'insertAll' } }
  const columns = cursor.list(() => readColumnPath(cursor))
  cursor.expect('values')
  return { when: 'notMatched', condition, action: { kind: 'insert', values: readValues(cursor, columns) } }
}

function readChange(cursor: Cursor) {
  const condition = readCondition(cursor)
  if (cursor.accept('delete')) return { condition, action: { kind: 'delete' as const } }
  if (!cursor.accept('update')) throw cursor.unexpected('UPDATE or DELETE')
  cursor.expect('set')
  if (cursor.accept('*')) return { condition, action: { kind: 'updateAll' as const } }
  return { condition, action: { kind: 'update' as const, set: readAssignments(cursor, 'when') } }
}

function readCondition(cursor: Cursor): string | undefined {
  const condition = cursor.accept('and') ? cursor.textUntil('a condition', () => cursor.isAt('then')) : undefined
  cursor.expect('then')
  return condition
}

/** As many values as there are columns. */
function readValues(cursor: Cursor, columns: readonly ColumnPath[]): readonly Assignment[] {
  cursor.expect('(')
  const values = columns.map((column, index) => {
    if (index > 0) cursor.expect(',')
    return { column, value: readValue(cursor) }
  })
  cursor.expect(')')
  return values
}
