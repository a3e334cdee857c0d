import { DeltaError } from '../base/errors.js'
import type { Connection, Parameters } from '../engine/database.js'
import { type WrittenFile, writeParquet } from '../engine/parquet-write.js'
import { ident } from '../engine/sql-text.js'
import type { AddFile, Protocol } from '../protocol/actions.js'
import { type MappingMode, physicalColumns, physicalField, physicalName, physicalPath } from '../protocol/column-mapping.js'
import { decodeFilePath, encodeFilePath, partitionFolder } from '../protocol/file-path.js'
import type { IdentityMarks } from '../protocol/identity.js'
import { formatPartitionValue } from '../protocol/partition-values.js'
import type { ParquetCodec, TableProperties } from '../protocol/properties.js'
import { type DataType, isVoid, type StructField, type StructType } from '../protocol/schema.js'
import { knownPath } from '../protocol/schema-path.js'
import { formatStats, leafKey, type StatsScope } from '../protocol/stats.js'
import { supportedFeatures } from '../protocol/table-features.js'
import { fieldIdsOf, storedSql } from './column-sql.js'
import type { TableDependencies } from './delta-table.js'
import { markFresh } from './fresh-files.js'
import { broken, guarded, violation } from './row-checks.js'
import { completeRows } from './row-columns.js'
import { rowNumbers } from './row-numbers.js'
import { type RowRule, rowRules } from './row-rules.js'

/** Where staged files are to belong. */
export interface StageTarget {
  readonly schema: StructType
  readonly partitionColumns: readonly string[]
  readonly properties: TableProperties
  /** How files name their columns. @defaultValue 'none' */
  readonly mapping?: MappingMode | undefined
  readonly protocol: Protocol
}

export interface StageOptions {
  readonly signal?: AbortSignal | undefined
  /** False when the rows are in the table already and only move. @defaultValue true */
  readonly dataChange?: boolean | undefined
  /** How files are compressed, unless the table says. @defaultValue `snappy` */
  readonly codec?: ParquetCodec | undefined
  /** Begin a new file at about this size, in bytes. */
  readonly fileSizeBytes?: number | undefined
  readonly params?: Parameters | undefined
  /** The columns that the query gives, where it is not all: others get their default, or are computed. */
  readonly given?: readonly string[] | undefined
  /** What the rows are held to beside the table's rules. */
  readonly rules?: readonly RowRule[] | undefined
  /**
   * Answers while files, unless they are large, are on their way into the store: no commit may show before `stored`.
   *
   * @defaultValue false
   */
  readonly early?: boolean | undefined
  /** Called when the rows are files of this machine, before these go to the store: the engine has done its work. */
  readonly onWritten?: (() => void) | undefined
  /** The folder of the table below which they go. @defaultValue the table's own */
  readonly folder?: string | undefined
  /** Given columns in which NULL says that nothing is given: computed ones. */
  readonly open?: readonly string[] | undefined
  /**
   * Numbers new rows, on from these marks or else the table's: none are numbered without. The commit has to set the marks
   * that come with the files (`withMarks`). Without `given`, the query has all columns but those that are always numbered.
   */
  readonly identityMarks?: IdentityMarks | undefined
}

/** While one commit waits for its files, others of the process wait for it: no longer than so much takes. */
const EARLY_BYTES_MAX = 8 * 2 ** 20

/** Files of one writing that go into the store at one time. */
const PUTS_AT_ONCE = 4

/** Files that are in no version yet. */
export interface StagedFiles {
  readonly adds: readonly AddFile[]
  readonly rows: number
  readonly bytes: number
  /** How far rows are numbered, where they were to be: the marks that were given, and new ones over them. */
  readonly identityMarks?: IdentityMarks | undefined
  /** Of files asked for early: settles once they are durable in the store, or are not. Without it they are. */
  readonly stored?: Promise<unknown> | undefined
}

/**
 * Writes the rows of `query` as data files of a table. It happens once, before any commit, so that a commit that is
 * tried again does not write them again. The query's columns are matched by name and cast to the table's types.
 *
 * A failure leaves no file of this machine behind; files already in the store belong to no version, and VACUUM takes them.
 * With `early` the put's failure is that of `stored` alone.
 *
 * @throws {DeltaError} `VALUE_NULL` for a NULL where the table takes none, `CONSTRAINT_VIOLATED` for rows that break a rule
 * of it, each with `rows` and `examples`; `FEATURE_UNSUPPORTED` for a rule that is not computed here as in Spark.
 */
export async function stageFiles(
  deps: TableDependencies,
  connection: Connection,
  query: string,
  target: StageTarget,
  options: StageOptions = {},
): Promise<StagedFiles> {
  return (await stage(deps, connection, query, target, () => true, options)) as StagedFiles
}

/**
 * As `stageFiles`, when the rows turn out to be wanted; otherwise nothing is put into the store.
 *
 * @param isWanted is asked once, with the number of rows.
 * @returns `undefined` when they are not.
 */
export async function stageWhole(
  deps: TableDependencies,
  connection: Connection,
  query: string,
  target: StageTarget,
  isWanted: (rows: number) => boolean,
  options: StageOptions = {},
): Promise<StagedFiles | undefined> {
  return stage(deps, connection, query, target, isWanted, options)
}

async function stage(
  deps: TableDependencies,
  connection: Connection,
  query: string,
  target: StageTarget,
  isWanted: (rows: number) => boolean,
  options: StageOptions,
): Promise<StagedFiles | undefined> {
  const codec = target.properties.parquetCodec ?? options.codec ?? 'snappy'
  const spooled = deps.spool.file('parquet')
  let isStoring = false
  try {
    const { schema, properties } = target
    const { mapping = 'none' } = target
    const fields = storedFields(schema.fields)
    const columns = fields.map((f) => `${storedSql(f, ident(f.name), mapping)} AS ${ident(physicalName(f, mapping))}`)
    const partitionBy = physicalColumns(target.schema, target.partitionColumns, mapping)
    const keepPartitionColumns = supportedFeatures(target.protocol).includes('materializePartitionColumns')
    const inFiles = fields.filter((f) => keepPartitionColumns || !target.partitionColumns.includes(f.name))
    // Rows that only move are whole, and have kept the rules already.
    const onlyMove = options.dataChange === false
    const rules = onlyMove ? [] : [...(await rowRules(connection, schema, properties)), ...(options.rules ?? [])]
    const { params, signal, open } = options
    const given = onlyMove ? schema.fields.map((f) => f.name) : options.given
    const numbers = await rowNumbers(connection, query, schema, { ...options, given })
    const complete = await completeRows(connection, query, schema, given, { open, numbers: numbers.values })
    const written = await writeParquet(
      connection,
      `SELECT ${columns.join(', ')} FROM (${guarded(complete, schema.fields, rules)})`,
      spooled,
      {
        codec,
        partitionBy,
        keepPartitionColumns,
        fieldIds: fieldIdsOf(inFiles, mapping),
        fileSizeBytes: options.fileSizeBytes,
        signal,
        params,
      },
    ).catch(async (error: unknown) => {
      throw (await violation(connection, error, complete, rules, { params, signal })) ?? error
    })
    const rows = written.reduce((sum, file) => sum + file.rows, 0)
    if (!isWanted(rows)) return undefined
    const identityMarks = numbers.marksAfter(rows)
    const nulls = nullsFound(target, written)
    if (nulls) throw await broken(connection, nulls.rule, complete, nulls.rows, { params, signal })
    options.onWritten?.()
    const files = written.map((file) => ({ file, add: describe(deps, target, file, codec, options) }))
    isStoring = true
    const stored = store(deps, files, signal).finally(() => deps.spool.remove(spooled))
    // A caller who turns away has no use for what became of them.
    stored.catch(() => undefined)
    const bytes = written.reduce((sum, file) => sum + file.sizeBytes, 0)
    const isEarly = options.early && bytes <= EARLY_BYTES_MAX
    if (!isEarly) await stored
    return { adds: files.map(({ add }) => add), rows, bytes, identityMarks, stored: isEarly ? stored : undefined }
  } finally {
    if (!isStoring) await deps.spool.remove(spooled)
  }
}

/** Puts files into the store, a few at once; when one fails it waits for those under way, and begins no more. */
async function store(
  deps: TableDependencies,
  files: readonly { readonly file: WrittenFile; readonly add: AddFile }[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const rest = files.values()
  const failures: unknown[] = []
  const putSome = async () => {
    for (const { file, add } of rest) {
      await deps.store.putFile(decodeFilePath(add.path), file.file, { signal }).catch((error: unknown) => failures.push(error))
      if (failures.length > 0) return
    }
  }
  await Promise.all(Array.from({ length: Math.min(PUTS_AT_ONCE, files.length) }, putSome))
  if (failures.length > 0) throw failures[0]
}

function describe(
  deps: TableDependencies,
  target: StageTarget,
  file: WrittenFile,
  codec: string,
  options: StageOptions,
): AddFile {
  const { mapping = 'none' } = target
  const fields = storedFields(target.schema.fields)
    .filter((f) => !target.partitionColumns.includes(f.name))
    .map((f) => physicalField(f, mapping))
  const partitionValues = Object.fromEntries(
    target.partitionColumns.map((name) => {
      const found = target.schema.fields.find((f) => f.name === name)
      const key = found ? physicalName(found, mapping) : name
      return [key, formatPartitionValue(found?.type ?? 'string', file.partition[key] ?? null)]
    }),
  )
  const name = `part-00000-${deps.random.uuid()}.c000.${codec}.parquet`
  // A partition's folder would tell of names that are to change freely.
  const folder = mapping === 'none' ? partitionFolder(target.partitionColumns, partitionValues) : deps.random.uuid().slice(0, 2)
  const path = [options.folder ?? '', folder, name].filter((part) => part !== '').join('/')
  return markFresh({
    path: encodeFilePath(path),
    partitionValues,
    size: file.sizeBytes,
    modificationTime: deps.clock.now(),
    dataChange: options.dataChange ?? true,
    stats: formatStats(fields, file.rows, file.statistics, statsScope(target)),
  })
}

function statsScope({ schema, properties, mapping = 'none' }: StageTarget): StatsScope {
  const named = properties.dataSkippingStatsColumns?.flatMap((path) => {
    const found = knownPath(schema, path)
    return found ? [physicalPath(schema, found, mapping)] : []
  })
  return {
    columnsMax: properties.dataSkippingNumIndexedCols,
    columns: named,
    prefixLength: properties.dataSkippingStringPrefixLength,
    tight: properties.deletionVectors,
  }
}

/** The writer counted NULLs on its way, so the check costs no pass of its own. */
function nullsFound(target: StageTarget, files: readonly WrittenFile[]): { rule: RowRule; rows: number } | undefined {
  for (const column of target.schema.fields) {
    const { name, nullable, type } = column
    if (nullable || typeof type !== 'string' || type === 'variant') continue
    const stored = physicalName(column, target.mapping ?? 'none')
    const partitioned = target.partitionColumns.includes(name)
    // An empty text has no place in a partition's values: it reads as NULL.
    const violated = partitioned && type === 'string' ? `nullif(${ident(name)}, '') IS NULL` : `${ident(name)} IS NULL`
    const inFile = (file: WrittenFile) =>
      partitioned ? (file.partition[stored] ? 0 : file.rows) : (file.statistics.get(leafKey([stored]))?.nullCount ?? 0)
    const rows = files.reduce((sum, file) => sum + inFile(file), 0)
    if (rows > 0) return { rule: { kind: 'notNull', name, expression: `${name} IS NOT NULL`, violated }, rows }
  }
  return undefined
}

/** Columns as files hold them: nothing is stored of type void, which is NULL in every row. */
function storedFields(fields: readonly StructField[]): StructField[] {
  return fields.filter(({ type }) => !isVoid(type)).map((f) => ({ ...f, type: storedType(f.type, f.name) }))
}

/** @throws {DeltaError} `TYPE_UNSUPPORTED` where nothing is left: a file has no struct without a member, and no list of nothing. */
function storedType(type: DataType, column: string): DataType {
  if (typeof type === 'string') {
    if (!isVoid(type)) return type
    throw new DeltaError('TYPE_UNSUPPORTED', 'no file can hold an array, a map or a struct of nothing but void', { column })
  }
  switch (type.type) {
    case 'struct': {
      const fields = storedFields(type.fields)
      return fields.length > 0 ? { ...type, fields } : storedType('void', column)
    }
    case 'array':
      return { ...type, elementType: storedType(type.elementType, column) }
    case 'map':
      return { ...type, keyType: storedType(type.keyType, column), valueType: storedType(type.valueType, column) }
  }
}
