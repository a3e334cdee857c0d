import { ident } from '../engine/sql-text.js'
import { FilesRelation, LIVE_ROWS, type RelationShape } from '../log/files-relation.js'
import type { LogDependencies, TableLog } from '../log/table-log.js'
import type { DeletionVectorDescriptor, Metadata, PartitionValues, Protocol } from '../protocol/actions.js'
import { type MappingMode, mappingMode } from '../protocol/column-mapping.js'
import { type TableProperties, tableProperties } from '../protocol/properties.js'
import { findField, parseSchema, type StructType } from '../protocol/schema.js'
import { enoughFiles, type RowsWanted } from './enough-files.js'

/** A live data file of a snapshot. */
export interface SnapshotFile {
  /** As in the log: percent-encoded. */
  readonly path: string
  /** Decoded, relative to the table; absolute for a file outside it. */
  readonly file: string
  readonly sizeBytes: number
  readonly partitionValues: PartitionValues
  /** Rows of the table in it, where statistics tell: without the deleted ones. */
  readonly rows: number | undefined
  /** Rows of the file itself, deleted ones included, where statistics tell. */
  readonly physicalRows: number | undefined
  readonly modifiedAtMs: number
  readonly stats: string | undefined
  /** Its rows that are deleted. */
  readonly deletionVector: DeletionVectorDescriptor | undefined
  readonly tags: Readonly<Record<string, string>> | undefined
  readonly baseRowId: number | undefined
  readonly defaultRowCommitVersion: number | undefined
  readonly clusteringProvider: string | undefined
}

/** What a selection of files kept and left out. */
export interface FileSelection {
  readonly files: readonly SnapshotFile[]
  readonly filesSkipped: number
  readonly bytesRead: number
  readonly bytesSkipped: number
  /** Of the files skipped, how many each of the conditions asked for left out, besides those that the ones before it did. */
  readonly skippedBy: readonly number[]
}

export interface FilesOptions {
  readonly signal?: AbortSignal | undefined
  /** Conditions of which each also says what the one before it does; see `FileSelection.skippedBy`. */
  readonly steps?: readonly string[] | undefined
  /** Leaves out files that hold none of these rows, as a further step. */
  readonly wanted?: RowsWanted | undefined
}

/** Up to so many, in the table or gone from it, it costs less to have all of them at hand than to ask for some. */
const FEW_FILES = 512

const read = new WeakMap<Metadata, Pick<Snapshot, 'schema' | 'properties'>>()

/** What metadata says: of versions one after the other it is the same. */
function readMetadata(metadata: Metadata): Pick<Snapshot, 'schema' | 'properties'> {
  const known = read.get(metadata)
  if (known) return known
  const found = { schema: parseSchema(metadata.schemaString), properties: tableProperties(metadata.configuration) }
  read.set(metadata, found)
  return found
}

/** The table at one version: immutable, whatever happens to the table afterwards. */
export class Snapshot {
  readonly version: number
  readonly protocol: Protocol
  readonly metadata: Metadata
  readonly schema: StructType
  readonly partitionColumns: readonly string[]
  readonly properties: TableProperties
  /** How data files, statistics and partition values name columns. */
  readonly mapping: MappingMode
  /** What the version itself has, where protocol and metadata are those of the commit that is to come. */
  readonly evolvedFrom: Pick<Snapshot, 'protocol' | 'metadata'> | undefined
  private readonly deps: LogDependencies
  private readonly log: TableLog

  /** @internal */
  constructor(deps: LogDependencies, log: TableLog, version: number, evolved?: Pick<Snapshot, 'protocol' | 'metadata'>) {
    const { protocol, metadata } = evolved ?? log.stateAt(version)
    this.evolvedFrom = evolved && log.stateAt(version)
    this.deps = deps
    this.log = log
    this.version = version
    this.protocol = protocol
    this.metadata = metadata
    const { schema, properties } = readMetadata(metadata)
    this.schema = schema
    // Some writers spell them otherwise than the schema does.
    this.partitionColumns = metadata.partitionColumns.map((name) => findField(this.schema, name)?.name ?? name)
    this.properties = properties
    this.mapping = mappingMode(protocol, metadata)
  }

  /** The same files under a protocol and metadata that a transaction on it commits along with what it stages. */
  evolved(protocol: Protocol, metadata: Metadata): Snapshot {
    return new Snapshot(this.deps, this.log, this.version, { protocol, metadata })
  }

  /** The columns that pruning conditions see; they can be newer than this snapshot's own. */
  get prunable(): RelationShape {
    return this.log.shape
  }

  /**
   * The live files, in the order in which they were added.
   *
   * @param mayMatch a condition over the files relation (`part`, `stat`), false only for files without a wanted row.
   */
  async files(mayMatch = 'TRUE', { signal, steps = [], wanted }: FilesOptions = {}): Promise<FileSelection> {
    const key = JSON.stringify([this.version, mayMatch, wanted])
    const known = this.log.selections.get(key) as FileSelection | undefined
    if (known) return known
    const { name } = await this.log.files()
    if (mayMatch !== 'TRUE' && !wanted && this.log.filesHeld <= FEW_FILES) {
      const selection = await this.filesOfFew(name, mayMatch, steps, signal)
      this.log.selections.set(key, selection)
      return selection
    }
    const condition = wanted ? `(${mayMatch}) AND ${enoughFiles(name, this.version, mayMatch, wanted)}` : mayMatch
    const live = `FROM ${ident(name)} WHERE ${FilesRelation.liveAt(this.version)}`
    const rows = await this.deps.database.rows<FileRow>(
      `SELECT path, file, "size", to_json("partitionValues")::VARCHAR AS part_text, stat.numRecords AS num_records, "modificationTime", stats, ` +
        `CASE WHEN dv_id IS NOT NULL THEN to_json("deletionVector")::VARCHAR END AS vector_text, to_json("tags")::VARCHAR AS tags_text, ` +
        `"baseRowId", "defaultRowCommitVersion", "clusteringProvider" ${live} AND (${condition}) ORDER BY added_at, rowid`,
      { signal },
    )
    const files = rows.map(toFile)
    const bytesRead = files.reduce((sum, file) => sum + file.sizeBytes, 0)
    const all = condition === 'TRUE' ? { files: files.length, bytes: bytesRead, kept: [] } : await this.totals(steps)
    const kept = wanted ? [...all.kept, files.length] : all.kept
    const skippedBy = kept.map((left, at) => (kept[at - 1] ?? all.files) - left)
    const selection = { files, bytesRead, filesSkipped: all.files - files.length, bytesSkipped: all.bytes - bytesRead, skippedBy }
    this.log.selections.set(key, selection)
    return selection
  }

  /** The same where there are not many files: all of them are at hand, and one query tells which of them are meant. */
  private async filesOfFew(
    relation: string,
    mayMatch: string,
    steps: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<FileSelection> {
    const { files: all, bytesRead: bytes } = await this.files('TRUE', { signal })
    const conditions = [...new Set([...steps, mayMatch])]
    const asked = ['file', ...conditions.map((condition) => `(${condition})`)].join(', ')
    const [names = [], ...flags] = await this.deps.database.use((connection) =>
      connection.columns(`SELECT ${asked} FROM ${ident(relation)} WHERE ${FilesRelation.liveAt(this.version)}`, { signal }),
    )
    const kept = conditions.map((_, at) => new Set(names.filter((_, row) => flags[at]?.[row] === true)))
    const files = all.filter(({ file }) => kept.at(conditions.indexOf(mayMatch))?.has(file))
    const bytesRead = files.reduce((sum, file) => sum + file.sizeBytes, 0)
    const left = steps.map((step) => kept[conditions.indexOf(step)]?.size ?? 0)
    const skippedBy = left.map((count, at) => (left[at - 1] ?? all.length) - count)
    return { files, bytesRead, filesSkipped: all.length - files.length, bytesSkipped: bytes - bytesRead, skippedBy }
  }

  /** Aggregates over the live files that satisfy a condition, as text, in the same order. */
  async figures(aggregates: readonly string[], condition: string, signal?: AbortSignal): Promise<readonly (string | null)[]> {
    const key = JSON.stringify([this.version, condition, 'figures', aggregates])
    const known = this.log.selections.get(key) as readonly (string | null)[] | undefined
    if (known) return known
    const { name } = await this.log.files()
    const [row] = await this.deps.database.rows<{ figures: readonly (string | null)[] }>(
      `SELECT [${aggregates.map((sql) => `(${sql})::VARCHAR`).join(', ')}] AS figures ` +
        `FROM ${ident(name)} WHERE ${FilesRelation.liveAt(this.version)} AND (${condition})`,
      { signal },
    )
    const figures = row?.figures ?? []
    this.log.selections.set(key, figures)
    return figures
  }

  /** What was once made of this version for a key, for as long as it is kept; it never changes. */
  async remembered<T extends object>(key: string, make: () => Promise<T>): Promise<T> {
    const name = JSON.stringify([this.version, 'remembered', key])
    const made = (this.log.selections.get(name) as T | undefined) ?? (await make())
    this.log.selections.set(name, made)
    return made
  }

  /** Counts and sizes, without listing the files, and how many satisfy each condition. Deleted rows do not count. */
  async totals(conditions: readonly string[] = []): Promise<SnapshotTotals> {
    const { name } = await this.log.files()
    const kept = `[${conditions.map((condition) => `count(*) FILTER (${condition})`).join(', ')}]::BIGINT[]`
    const [found] = await this.deps.database.rows<TotalsRow>(
      `SELECT count(*) AS files, sum("size")::BIGINT AS bytes, sum(${LIVE_ROWS})::BIGINT AS rows, count(stat.numRecords) AS known, ${kept} AS kept ` +
        `FROM ${ident(name)} WHERE ${FilesRelation.liveAt(this.version)}`,
    )
    const files = Number(found?.files ?? 0)
    return {
      files,
      bytes: Number(found?.bytes ?? 0),
      rows: Number(found?.known ?? 0) === files ? Number(found?.rows ?? 0) : undefined,
      kept: (found?.kept ?? []).map(Number),
    }
  }
}

interface SnapshotTotals {
  readonly files: number
  readonly bytes: number
  readonly rows: number | undefined
  readonly kept: readonly number[]
}

interface TotalsRow {
  readonly files: bigint
  readonly bytes: bigint | null
  readonly rows: bigint | null
  readonly known: bigint
  readonly kept: readonly bigint[]
}

interface FileRow {
  readonly path: string
  readonly file: string
  readonly size: bigint
  readonly part_text: string | null
  readonly num_records: bigint | null
  readonly modificationTime: bigint | null
  readonly stats: string | null
  readonly vector_text: string | null
  readonly tags_text: string | null
  readonly baseRowId: bigint | null
  readonly defaultRowCommitVersion: bigint | null
  readonly clusteringProvider: string | null
}

function toFile(row: FileRow): SnapshotFile {
  const deletionVector = row.vector_text ? vectorOf(row.vector_text) : undefined
  const physicalRows = numberOf(row.num_records)
  return {
    path: row.path,
    file: row.file,
    sizeBytes: Number(row.size),
    partitionValues: row.part_text ? (JSON.parse(row.part_text) as PartitionValues) : {},
    rows: physicalRows === undefined ? undefined : physicalRows - (deletionVector?.cardinality ?? 0),
    physicalRows,
    modifiedAtMs: Number(row.modificationTime ?? 0),
    stats: row.stats ?? undefined,
    deletionVector,
    tags: row.tags_text ? (JSON.parse(row.tags_text) as Record<string, string>) : undefined,
    baseRowId: numberOf(row.baseRowId),
    defaultRowCommitVersion: numberOf(row.defaultRowCommitVersion),
    clusteringProvider: row.clusteringProvider ?? undefined,
  }
}

/** An offset that is absent stays absent: it is a part of the vector's identity. */
function vectorOf(text: string): DeletionVectorDescriptor {
  const { offset, ...vector } = JSON.parse(text) as DeletionVectorDescriptor & { readonly offset: number | null }
  return offset === null ? vector : { ...vector, offset }
}

function numberOf(value: bigint | null): number | undefined {
  return value === null ? undefined : Number(value)
}
