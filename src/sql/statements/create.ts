import { DeltaError } from '../../base/errors.js'
import type { Cursor } from '../cursor.js'
import { type Clone, readClone } from './clone.js'
import { type Constraint, type CreateColumn, readConstraint, readCreateColumn } from './columns.js'
import type { CreateHead } from './create-head.js'
import { type ColumnPath, readClusterBy, readTableName } from './names.js'
import { readProperties } from './properties.js'
import { unsupported } from './unsupported.js'
import { type CreateView, readCreateView } from './views.js'

export interface CreateTable extends CreateHead {
  readonly kind: 'createTable'
  readonly columns: readonly CreateColumn[]
  readonly constraints: readonly Constraint[]
  readonly partitionBy: readonly string[]
  /** Empty for CLUSTER BY NONE. */
  readonly clusterBy: readonly ColumnPath[] | undefined
  readonly location: string | undefined
  readonly comment: string | undefined
  readonly properties: Readonly<Record<string, string>>
  /** The query whose rows and columns it takes. */
  readonly as: string | undefined
}

/** `CREATE [OR REPLACE] TABLE …`, `CREATE [OR REPLACE] MATERIALIZED VIEW …` and `REPLACE TABLE …`, behind the first word. */
export function readCreate(cursor: Cursor, first: 'create' | 'replace'): CreateTable | Clone | CreateView {
  const mode = first === 'replace' ? 'replace' : cursor.accept('or', 'replace') ? 'createOrReplace' : 'create'
  if (mode !== 'replace' && cursor.accept('materialized', 'view')) return readCreateView(cursor, mode === 'createOrReplace')
  if (!cursor.accept('table')) throw unsupported(`${first.toUpperCase()} ${cursor.peek()?.text.toUpperCase() ?? ''}`.trim())
  const ifNotExists = cursor.accept('if', 'not', 'exists')
  if (ifNotExists && mode !== 'create')
    throw new DeltaError('SQL_INVALID', 'either OR REPLACE or IF NOT EXISTS, not both', {}, { hint: 'leave one of them out' })
  const head = { table: readTableName(cursor), mode, ifNotExists } as const
  return cursor.isAt('shallow', 'deep', 'clone') ? readClone(cursor, head) : readTable(cursor, head)
}

function readTable(cursor: Cursor, head: CreateHead): CreateTable {
  const constraints: Constraint[] = []
  const columns: CreateColumn[] = []
  if (cursor.isAt('('))
    cursor.list(() => {
      if (cursor.accept('constraint')) constraints.push(readConstraint(cursor))
      else if (isUnnamedConstraint(cursor)) throw unsupported('constraints without a name', 'write CONSTRAINT name CHECK (…)')
      else columns.push(readCreateColumn(cursor))
    })
  const clauses = readClauses(cursor)
  if (columns.length === 0 && clauses.as === undefined) throw cursor.unexpected('columns, or AS and a query')
  if (columns.length > 0 && clauses.as !== undefined)
    throw new DeltaError(
      'SQL_INVALID',
      'CREATE TABLE … AS takes its columns from the query',
      {},
      { hint: 'leave the column list out' },
    )
  return { kind: 'createTable', ...head, columns, constraints, ...clauses }
}

function readClauses(cursor: Cursor) {
  let partitionBy: readonly string[] = []
  let clusterBy: readonly ColumnPath[] | undefined
  let location: string | undefined
  let comment: string | undefined
  let properties: Readonly<Record<string, string>> = {}
  let as: string | undefined
  while (!cursor.done) {
    if (cursor.accept('using')) cursor.expect('delta')
    else if (cursor.accept('partitioned', 'by')) partitionBy = cursor.list(() => cursor.identifier('a column'))
    else if (cursor.accept('cluster', 'by')) clusterBy = readClusterBy(cursor)
    else if (cursor.accept('location')) location = cursor.string('a location in quotes')
    else if (cursor.accept('comment')) comment = cursor.string('a comment in quotes')
    else if (cursor.accept('tblproperties')) properties = readProperties(cursor)
    else if (cursor.accept('as')) as = cursor.rest('a query')
    else throw cursor.unexpected('USING, PARTITIONED BY, CLUSTER BY, LOCATION, COMMENT, TBLPROPERTIES or AS')
  }
  return { partitionBy, clusterBy, location, comment, properties, as }
}

/** `CHECK (…)`, `PRIMARY KEY (…)`; a column may be called so too, and then a type follows. */
function isUnnamedConstraint(cursor: Cursor): boolean {
  const follows = cursor.peek(1)
  return (
    (cursor.isAt('check', 'unique') && follows?.value === '(') ||
    (cursor.isAt('primary', 'foreign') && follows?.kind === 'word' && follows.value === 'key')
  )
}
