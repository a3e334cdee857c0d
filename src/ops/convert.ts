import { DeltaError } from '../base/errors.js'
import type { AddFile, PartitionValues } from '../protocol/actions.js'
import { checkWritable } from '../protocol/features.js'
import { encodeFilePath } from '../protocol/file-path.js'
import { tableProperties } from '../protocol/properties.js'
import { protocolFor } from '../protocol/protocol-for.js'
import type { StructField } from '../protocol/schema.js'
import { checkColumnNames } from '../protocol/schema-change.js'
import { formatStats } from '../protocol/stats.js'
import type { ObjectInfo, StoreOptions } from '../storage/store.js'
import { commitInfoOf } from '../table/commit-info.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { FileSource } from '../table/file-source.js'
import { footerFields, footerStatistics } from './convert-footers.js'
import { hivePartitions } from './convert-partitions.js'

export interface ConvertRequest {
  /** The columns that the folders name, in the folders' order. */
  readonly partitionBy: readonly StructField[]
  /** Whether files have bounds and counts of NULLs. */
  readonly statistics: boolean
  readonly signal?: AbortSignal | undefined
}

export interface ConvertResult {
  /** False when it was a Delta table already. */
  readonly converted: boolean
  readonly version: number
  readonly files: number
  readonly rows: number
}

/** A file of which the log says nothing yet. */
const BARE = { partitionValues: {}, deletionVector: undefined, baseRowId: undefined, defaultRowCommitVersion: undefined }

/**
 * CONVERT TO DELTA: writes version 0 of a table over Parquet files that are there, which stay as they are. Only their footers
 * are read. A Delta table stays what it is.
 *
 * @throws {DeltaError} `ARGUMENT_INVALID` for a folder without Parquet files, for other files beside them, for folders that do
 * not name the partition columns, for files of which one has a column otherwise than another, and for names that a table
 * cannot have; `TYPE_UNSUPPORTED`; `DATA_FILE_DAMAGED` for a footer that cannot be read.
 */
export async function convert(table: DeltaTable, source: FileSource, request: ConvertRequest): Promise<ConvertResult> {
  const { partitionBy, signal } = request
  const { store, database, clock, random } = table.deps
  if (await table.exists()) return { converted: false, version: (await table.snapshot()).version, files: 0, rows: 0 }
  const objects = await parquetFiles(table, { signal })
  const partitions = await hivePartitions(
    database,
    objects.map(({ path }) => path),
    partitionBy,
    { signal },
  )
  const files = objects.map(({ path, sizeBytes }) => ({ ...BARE, file: path, sizeBytes }))
  const unread = { schema: { type: 'struct', fields: [] }, mapping: 'none', partitionColumns: [] } as const
  const held = await source.open(store, files, unread, new Set(), { signal })
  try {
    const locals = held.files.map(({ localFile }) => localFile)
    const isPartition = ({ name }: StructField) => partitionBy.some((f) => f.name.toLowerCase() === name.toLowerCase())
    const stored = (await footerFields(database, locals, { signal })).filter((f) => !isPartition(f))
    if (stored.length === 0) throw refused('the files have no column beside those of the partitions', {})
    const schema = { type: 'struct', fields: [...stored, ...partitionBy] } as const
    checkColumnNames(schema, 'none')
    const protocol = protocolFor(schema, {})
    const metadata = {
      id: random.uuid(),
      format: { provider: 'parquet', options: {} },
      schemaString: JSON.stringify(schema),
      partitionColumns: partitionBy.map(({ name }) => name),
      createdTime: clock.now(),
      configuration: {},
    }
    checkWritable(protocol, metadata)
    const { dataSkippingNumIndexedCols, isolationLevel } = tableProperties({})
    const known = await footerStatistics(database, locals, stored, { signal })
    const scope = { columnsMax: request.statistics ? dataSkippingNumIndexedCols : 0 }
    const adds = objects.map((object, at): AddFile => {
      const { rows, statistics } = known.get(locals[at] ?? '') ?? { rows: 0, statistics: new Map() }
      return addOf(object, partitions.get(object.path) ?? {}, formatStats(stored, rows, statistics, scope))
    })
    const operation = {
      name: 'CONVERT',
      parameters: {
        numFiles: adds.length,
        partitionedBy: JSON.stringify(metadata.partitionColumns),
        collectStats: request.statistics,
        sourceFormat: 'parquet',
      },
      metrics: { numConvertedFiles: adds.length },
    }
    const commitInfo = commitInfoOf(table.deps, operation, { readVersion: -1, isolationLevel, isBlindAppend: false })
    const converted = await table.create(protocol, metadata, [{ commitInfo }, ...adds.map((add) => ({ add }))], { signal })
    if (!converted) return { converted, version: (await table.snapshot()).version, files: 0, rows: 0 }
    return { converted, version: 0, files: adds.length, rows: [...known.values()].reduce((sum, { rows }) => sum + rows, 0) }
  } finally {
    held.release()
  }
}

/** Hidden files and folders are left out, as Spark does. */
async function parquetFiles({ deps: { store } }: DeltaTable, options: StoreOptions): Promise<readonly ObjectInfo[]> {
  const found: ObjectInfo[] = []
  for await (const object of store.list('', options)) {
    const segments = object.path.split('/')
    if (segments.includes('_delta_log')) throw refused('a Delta table lies inside of the folder', { file: object.path })
    if (segments.some((name) => name.startsWith('.') || (name.startsWith('_') && !name.includes('=')))) continue
    if (!/\.parquet$/i.test(object.path))
      throw refused('a file beside the Parquet files is none', { file: object.path }, 'move it away: a table has no other files')
    found.push(object)
  }
  if (found.length === 0) throw refused('there are no Parquet files', { uri: store.uri })
  return found
}

function addOf({ path, sizeBytes, modifiedAtMs }: ObjectInfo, partitionValues: PartitionValues, stats: string): AddFile {
  return {
    path: encodeFilePath(path),
    partitionValues,
    size: sizeBytes,
    modificationTime: modifiedAtMs,
    dataChange: true,
    stats,
  }
}

function refused(message: string, details: Readonly<Record<string, string>>, hint?: string): DeltaError {
  return new DeltaError('ARGUMENT_INVALID', message, details, { hint })
}
