import { DeltaError } from '../base/errors.js'
import { ident } from '../engine/sql-text.js'
import { type BatchId, findFirstResult } from '../ingest/batches.js'
import { commitRows, type LoadedPart, replayedPart } from '../ingest/load.js'
import type { TableReads } from '../ops/overwrite.js'
import { checkNames, field, type StructField } from '../protocol/schema.js'
import { parseType } from '../protocol/type-text.js'
import { fillDefaults, type PartitionValue } from '../sql/statements/insert.js'
import type { DeltaTable } from '../table/delta-table.js'
import { evolvedFor, type SchemaEvolution } from '../table/evolve.js'
import { defaultValue, isComputed } from '../table/row-columns.js'
import type { Snapshot } from '../table/snapshot.js'
import { type StagedFiles, type StageOptions, type StageTarget, stageFiles } from '../table/stage.js'
import type { AppendResult } from './options.js'
import { type ReadyQuery, type RunContext, type RunRequest, readyQuery } from './query-runner.js'
import { oneCondition } from './table-snapshot.js'

/** Where the columns of a query go. */
export interface InsertTarget {
  /**
   * Without them, the query's columns are the table's, in order. Others get their default, are computed or numbered; so do
   * those for which VALUES say DEFAULT.
   */
  readonly columns?: readonly string[] | undefined
  /** Whether the query's columns go to the table's of the same names. */
  readonly byName?: boolean | undefined
  /** Columns with a value here are not the query's. */
  readonly partition?: readonly PartitionValue[] | undefined
  /** Whether the query's columns change those of the table. Beyond the table's, columns go by their names. */
  readonly evolution?: SchemaEvolution | undefined
}

/**
 * INSERT INTO … query: the rows go from the query to Parquet inside the engine. A query that reads the table itself reads
 * the version after which the commit goes, and says so.
 *
 * @throws {DeltaError} `SCHEMA_MISMATCH` when the counts differ or a name is unknown.
 */
export async function insertQuery(
  context: RunContext,
  table: DeltaTable,
  target: InsertTarget,
  request: RunRequest,
  batch?: BatchId,
): Promise<Omit<AppendResult, 'elapsedMs'>> {
  const { snapshot: newest } = await table.transaction(undefined, { signal: request.signal })
  const first = batch && replayedPart(await findFirstResult(table, batch))
  if (first) return insertResult(first, newest.version)
  const { ready, base: snapshot, targets, open, reads } = await readyInsert(context, table, newest, target, request)
  try {
    const { signal } = request
    const stage = (base: Snapshot) => stageQuery(table, ready, base, targets, { signal, open, identityMarks: new Map() })
    const part = await commitRows(table, snapshot, stage, batch && { ...batch, rejected: 0 }, { signal, read: reads })
    return insertResult(part, snapshot.version)
  } finally {
    ready.release(false)
  }
}

function insertResult(part: LoadedPart, versionBefore: number): Omit<AppendResult, 'elapsedMs'> {
  return { ...part, version: part.version ?? versionBefore, rowsRejected: 0, rejects: [] }
}

/** Writes a ready query's rows as files of a table; `targets` names the column that each of the query's goes to. */
export async function stageQuery(
  table: DeltaTable,
  ready: ReadyQuery,
  target: StageTarget,
  targets: readonly string[],
  options: Pick<StageOptions, 'signal' | 'rules' | 'open' | 'identityMarks'> = {},
): Promise<StagedFiles> {
  const given = targets.map((name, index) => `c${index} AS ${ident(name)}`)
  const query = `SELECT ${given.join(', ')} FROM (${ready.plan.text}\n) AS q(${targets.map((_, index) => `c${index}`).join(', ')})`
  return stageFiles(table.deps, ready.session, query, target, { ...options, params: ready.plan.params, given: targets })
}

/** An INSERT's query, ready to run. */
export interface ReadyInsert {
  readonly ready: ReadyQuery
  /** What the rows are to be written for: the snapshot, or what it becomes by them. */
  readonly base: Snapshot
  /** The table's column for each of the query's. */
  readonly targets: readonly string[]
  /** Those in which NULL stands for DEFAULT. */
  readonly open: readonly string[]
  /** What the query reads of the table that it goes to, at the snapshot. */
  readonly reads: TableReads | undefined
}

/**
 * Plans an INSERT's query. Where it names the table that it goes to, it reads `snapshot`. The caller releases it.
 *
 * @throws {DeltaError} `SCHEMA_MISMATCH`
 */
export async function readyInsert(
  context: RunContext,
  table: DeltaTable,
  snapshot: Snapshot,
  { columns, byName, partition = [], evolution }: InsertTarget,
  request: RunRequest,
): Promise<ReadyInsert> {
  const own = new Set<Snapshot>()
  const pinned: RunContext = {
    ...context,
    pin: async (wanted, signal) => {
      const found = await context.pin(wanted, signal)
      if (found?.table.uri !== table.uri || wanted.version !== undefined || wanted.timestampMs !== undefined) return found
      own.add(snapshot)
      return { ...found, snapshot }
    },
  }
  const { fields } = snapshot.schema
  const fixed = fixedColumns(fields, snapshot.partitionColumns, partition)
  const values = fixed.map(({ value }) => `, (${oneCondition(value)}\n)`).join('')
  const asked = fields.filter(({ name }) => fixed.every((one) => one.column !== name))
  const { text: query, open } = await withDefaults(table, asked, columns, request.text, evolution !== undefined)
  const text = fixed.length === 0 ? query : `SELECT q.*${values} FROM (${query}\n) AS q`
  const ready = await readyQuery(pinned, { ...request, text })
  try {
    const given = ready.plan.columns.slice(0, ready.plan.columns.length - fixed.length)
    const names = given.map(({ name }) => name)
    const named = evolution
      ? evolvedColumns(evolution === 'overwrite' ? [] : asked, byName ? names : columns, names)
      : targetColumns(asked, byName ? names : columns, names.length)
    const targets = [...named, ...fixed.map(({ column }) => column)]
    const incoming = given.map(({ type }, at) => field(named[at] ?? '', type === '"NULL"' ? 'void' : parseType(type, 'duckdb')))
    const base = evolution ? evolvedFor(table, snapshot, { type: 'struct', fields: incoming }, evolution) : snapshot
    const ours = ready.plan.tables.flatMap((planned, at) => (own.has(planned.snapshot) ? [{ planned, at }] : []))
    const reads = {
      conditions: ours.map(({ planned }) => planned.condition),
      files: ours.flatMap(({ at }) => ready.selections[at]?.files ?? []),
    }
    return { ready, base, targets, open, reads: ours.length > 0 ? reads : undefined }
  } catch (error) {
    ready.release(false)
    throw error
  }
}

/** The columns of PARTITION (…) that have a value, by their names in the table. */
export function fixedColumns(
  fields: readonly StructField[],
  partitionColumns: readonly string[],
  partition: readonly PartitionValue[],
): readonly { readonly column: string; readonly value: string }[] {
  return partition.flatMap(({ column, value }) => {
    const found = partitionColumns.find((name) => name.toLowerCase() === column.toLowerCase())
    if (found === undefined)
      throw new DeltaError(
        'SCHEMA_MISMATCH',
        'the table is not partitioned by this column',
        { column },
        { hint: partitionColumns.length > 0 ? `it is partitioned by ${partitionColumns.join(', ')}` : 'it is not partitioned' },
      )
    if (value === undefined) return []
    return { column: fields.find(({ name }) => name === found)?.name ?? found, value }
  })
}

/** A query without DEFAULT, and the columns in which NULL stands in for it. */
async function withDefaults(
  table: DeltaTable,
  fields: readonly StructField[],
  columns: readonly string[] | undefined,
  query: string,
  mayAdd: boolean,
): Promise<{ readonly text: string; readonly open: readonly string[] }> {
  const targets = mayAdd
    ? (columns ?? fields.map(({ name }) => name)).map((name) => ownName(fields, name))
    : targetColumns(fields, columns, columns?.length ?? fields.length)
  const used = new Set<number>()
  fillDefaults(query, (column) => {
    used.add(column)
    return 'NULL'
  })
  if (used.size === 0) return { text: query, open: [] }
  const values = new Map<number, string>()
  const open: string[] = []
  for (const [index, name] of targets.entries()) {
    const found = used.has(index) && fields.find((f) => f.name === name)
    if (!found) continue
    if (isComputed(found)) open.push(name)
    else values.set(index, await table.deps.database.use((connection) => defaultValue(connection, found)))
  }
  return { text: fillDefaults(query, (column) => values.get(column) ?? 'NULL'), open }
}

function targetColumns(fields: readonly StructField[], columns: readonly string[] | undefined, given: number): readonly string[] {
  const names = columns?.map((name) => {
    const found = fields.find((field) => field.name.toLowerCase() === name.toLowerCase())
    if (!found) throw new DeltaError('SCHEMA_MISMATCH', 'the table has no such column', { column: name })
    return found.name
  })
  const targets = names ?? fields.map((field) => field.name)
  if (targets.length !== given)
    throw new DeltaError(
      'SCHEMA_MISMATCH',
      'the query has another number of columns than the table',
      { query: given, table: targets.length },
      {
        hint: `name the columns: INSERT INTO … (${fields.map((field) => field.name).join(', ')})`,
      },
    )
  if (new Set(targets).size !== targets.length) throw new DeltaError('SCHEMA_MISMATCH', 'a column is named twice')
  return targets
}

/** Names for a query's columns: the table's own where it has them, then those of the query. */
function evolvedColumns(
  fields: readonly StructField[],
  columns: readonly string[] | undefined,
  given: readonly string[],
): readonly string[] {
  const targets = columns
    ? columns.map((name) => ownName(fields, name))
    : given.map((name, at) => fields[at]?.name ?? ownName(fields, name))
  if (targets.length !== given.length || (!columns && given.length < fields.length))
    throw new DeltaError(
      'SCHEMA_MISMATCH',
      'the query has another number of columns than it is to have',
      { query: given.length, columns: columns?.length ?? fields.length },
      { hint: 'INSERT … BY NAME leaves columns out' },
    )
  checkNames(
    targets.map((name) => field(name, 'void')),
    'ARGUMENT_INVALID',
  )
  return targets
}

function ownName(fields: readonly StructField[], name: string): string {
  return fields.find((one) => one.name.toLowerCase() === name.toLowerCase())?.name ?? name
}
