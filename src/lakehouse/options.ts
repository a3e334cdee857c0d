import type { Table as ArrowTable, RecordBatch, RecordBatchReader } from 'apache-arrow'
import type { Clock } from '../base/clock.js'
import type { EventSink } from '../base/events.js'
import type { Random } from '../base/random.js'
import type { CacheUse } from '../engine/range-cache.js'
import type { Compression, InputFormat } from '../ingest/formats.js'
import type { ChangeResult } from '../ops/change-result.js'
import type { RestoreOutcome } from '../ops/restore.js'
import type { StoreUse } from '../storage/meter.js'
import type { S3Settings } from '../storage/open.js'
import type { SourceLag } from '../views/exact.js'

/** Settings are plain data with documented defaults; components (clock, random, events) are live objects. */
export interface LakehouseOptions {
  /** How S3 is reached; what is absent comes from the standard `AWS_…` variables and profiles. */
  readonly s3?: S3Settings | undefined
  /** Memory that the SQL engine may hold, in bytes; beyond it spills to disk. @defaultValue half of the machine's, at most 8 GiB */
  readonly memoryLimitBytes?: number | undefined
  /** Threads of the SQL engine. @defaultValue the machine's processors */
  readonly threads?: number | undefined
  /** Where spilled data, staged files and cached ranges go. @defaultValue `.deltaic` in a lakehouse on disk, else the system's temporary folder */
  readonly tempFolder?: string | undefined
  /** What the cache of remote files may hold, in bytes. @defaultValue 4 GiB */
  readonly cacheBytesMax?: number | undefined
  /**
   * How many data files the logs in memory may tell of, of all tables together; a file takes about 1 KB. Beyond that, the log that was not asked
   * for the longest goes, and is loaded anew for the next query of its table. @defaultValue 4,000,000
   */
  readonly logFilesMax?: number | undefined
  /** Whether SQL may name tables by location (``delta.`s3://…` ``). @defaultValue true */
  readonly locations?: boolean | undefined
  /** How long a group of concurrent ingest requests is gathered, in milliseconds, 0 to 100. @defaultValue 2 */
  readonly lingerMs?: number | undefined
  /** What ingest requests may hold in memory and on disk before more are refused with `TOO_BUSY`, in bytes. @defaultValue 1 GiB */
  readonly spoolBytesMax?: number | undefined
  readonly clock?: Clock | undefined
  readonly random?: Random | undefined
  readonly events?: EventSink | undefined
}

/** Bound by name (`$v`) or by position (`?`, `$1`). Dates are instants, bytes are BLOBs; other types are cast from text: `$1::DECIMAL(38, 2)`. */
export type SqlParameters = readonly SqlValue[] | Readonly<Record<string, SqlValue>>
export type SqlValue = string | number | bigint | boolean | null | Date | Uint8Array

export interface SqlOptions {
  readonly params?: SqlParameters | undefined
  readonly signal?: AbortSignal | undefined
  /** Refuse every statement but queries. @defaultValue false */
  readonly readOnly?: boolean | undefined
  /** Whether this text may name tables by location; off for text that strangers wrote. @defaultValue the lakehouse's setting */
  readonly locations?: boolean | undefined
  /**
   * What INSERT OVERWRITE takes out of a partitioned table: all of it, or of what PARTITION (…) names; or, when dynamic, the
   * partitions that new rows come with.
   *
   * @defaultValue 'static'
   */
  readonly partitionOverwriteMode?: 'static' | 'dynamic' | undefined
  /** Rows that a query may answer; with more it fails with `ANSWER_TOO_LARGE`. @defaultValue no limit */
  readonly rowsMax?: number | undefined
  /** Bytes that a query's answer may come to, as JSON, or as a file while it waits for its reader, likewise. @defaultValue no limit */
  readonly bytesMax?: number | undefined
  /** By table: an older version is not answered from, but for one that the query names. `VERSION_NOT_REACHED` where it is not there yet. */
  readonly minVersions?: Readonly<Record<string, number>> | undefined
  /** Called when a text that is one query has its versions, before it reads anything of them. What it throws ends the query. */
  readonly onPinned?: ((pins: QueryPins) => void) | undefined
  /** Whether the stored state of a view will do, however old: the answer's `views` say how old. @defaultValue views are exact */
  readonly stale?: 'ok' | undefined
  /** Of a query, the rows that its operators have read while it is answered, and how many there may be. */
  readonly onProgress?: ((progress: Progress) => void) | undefined
}

/** What a query reads, fixed for its whole life. */
export interface QueryPins {
  /** As `QueryResult.versions`. */
  readonly versions: Readonly<Record<string, number>>
  /** Alike for two queries only if one answer serves both; absent where even the same query may answer otherwise, as with `random()`. */
  readonly fingerprint: string | undefined
}

/** How far a long call is. `total` is absent where it cannot be known. */
export interface Progress {
  readonly phase: string
  readonly done: number
  readonly total?: number | undefined
  readonly unit: 'rows' | 'files' | 'bytes'
}

/** A query's answer in bytes. `json` is one array of objects; `table` and `markdown` are for people. */
export type ResultFormat = 'json' | 'ndjson' | 'csv' | 'arrow' | 'parquet' | 'table' | 'markdown'

export interface ResultColumn {
  readonly name: string
  /** The SQL type, as DuckDB names it. */
  readonly type: string
}

/** What a query considered, kept and left out. */
export interface ScanStats {
  readonly filesRead: number
  readonly filesSkipped: number
  /** Sizes of whole files. */
  readonly bytesRead: number
  readonly bytesSkipped: number
  /** Files that were at hand already, though their store is remote. */
  readonly filesFromCache: number
  /** Of the files skipped, how many by what. */
  readonly skippedBy: SkippedBy
}

/** Each file counts once, with the first that left it out. */
export interface SkippedBy {
  /** Values of partition columns. */
  readonly partition: number
  /** Partition columns that are generated from the column of a filter. */
  readonly generated: number
  /** Bounds and null counts. */
  readonly statistics: number
  /** Keys of the other side of a join. */
  readonly join: number
  /** Statistics that answer `count`, `min` and `max` without the rows. */
  readonly answered: number
  /** Other files, which hold enough rows for a `LIMIT`, or the first in its order. */
  readonly limit: number
}

/** What an answer rests on, for each view that it reads. */
export interface ViewRead {
  readonly name: string
  /** The version of its state. */
  readonly version: number
  /** `state`: its state was all it took; `changes`: and what changed since; `definition`: it was computed from its sources. */
  readonly from: 'state' | 'changes' | 'definition'
  /** Whether the answer lacks changes of the sources: only where that was allowed. */
  readonly stale: boolean
  /** How long ago the first change came that it lacks, in milliseconds; 0 when it lacks none. */
  readonly ageMs: number
  readonly sources: readonly SourceLag[]
  /** How it is kept up with its sources. */
  readonly maintenance: string
}

/** Rows to append: a path, bytes, a stream of bytes, Arrow data, or a query. */
export type AppendInput =
  | string
  | Uint8Array
  | AsyncIterable<Uint8Array>
  | ArrowTable
  | RecordBatch
  | RecordBatchReader
  | { readonly sql: string; readonly params?: SqlParameters | undefined }

export interface AppendOptions {
  /** @defaultValue by the file's name; `ndjson` for bytes and streams */
  readonly format?: InputFormat | undefined
  /** @defaultValue by the file's name (`.gz`, `.br`); none for bytes and streams */
  readonly compression?: Compression | undefined
  /** What a line that cannot be read does: fail the whole append, or go to the table `<name>__rejects`. @defaultValue 'fail' */
  readonly onError?: 'fail' | 'reject' | undefined
  /**
   * What fields that the table lacks do: fail their line, or become columns of it, in a commit of their own. The table's types
   * grow too where it has type widening. @defaultValue 'strict'
   */
  readonly schema?: 'strict' | 'evolve' | undefined
  /** Commit every this many rows, instead of once. */
  readonly batchRows?: number | undefined
  /** Makes the append happen once: a repeat is a no-op that answers with the first result. */
  readonly txn?: { readonly appId: string; readonly version: number } | undefined
  /** Create the table from the data where there is none. @defaultValue false */
  readonly create?: boolean | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: Progress) => void) | undefined
}

/** A line that was not taken. */
export interface RejectedLine {
  /** From 1. */
  readonly line: number
  readonly reason: string
  /** The line as it came, cut to 1,000 characters. */
  readonly raw: string
}

export interface AppendResult {
  /** The version from which on the rows are visible: the last one, when there were several commits. */
  readonly version: number
  readonly commits: number
  readonly rowsAdded: number
  readonly rowsRejected: number
  /** The first 100. */
  readonly rejects: readonly RejectedLine[]
  /** The table that holds the rejected lines, when there are any. */
  readonly rejectsTable?: string | undefined
  readonly filesAdded: number
  readonly bytesAdded: number
  /** How many commits it took to win; more than `commits` when races were lost. */
  readonly attempts: number
  /** True when the rows had been there before: nothing was written. */
  readonly replayed: boolean
  readonly elapsedMs: number
}

/** Which rows go when new ones come; without `where` and `partitions`, all of them. */
export interface OverwriteOptions {
  /** Those for which a condition on the table's columns is true. It has to be true of the new rows too. */
  readonly where?: string | undefined
  /** `dynamic`: those of the partitions that new rows come with. */
  readonly partitions?: 'dynamic' | undefined
  /**
   * `evolve`: columns that the rows have and the table lacks become columns of it, in the same commit; a query's columns then go by
   * name. `overwrite`: the columns of the rows become the table's, where all of its rows go; its partition columns have to be among
   * them. @defaultValue 'strict'
   */
  readonly schema?: 'strict' | 'evolve' | 'overwrite' | undefined
  /** @defaultValue by the file's name; `ndjson` for bytes and streams */
  readonly format?: InputFormat | undefined
  /** @defaultValue by the file's name (`.gz`, `.br`); none for bytes and streams */
  readonly compression?: Compression | undefined
  readonly signal?: AbortSignal | undefined
}

export interface OverwriteResult {
  /** The version that holds the outcome; the newest one when there was nothing to do. */
  readonly version: number
  readonly rowsAdded: number
  /** Rows that stay, and were written again because they shared a file with some that go. */
  readonly rowsCopied: number
  readonly filesAdded: number
  readonly filesRemoved: number
  /** Files whose rows that went are listed beside them from now on: they stay as they are. */
  readonly filesMarked: number
  readonly bytesAdded: number
  readonly attempts: number
  readonly elapsedMs: number
}

export interface OptimizeOptions {
  /** Only partitions that satisfy this condition. */
  readonly where?: string | undefined
  /** In bytes. @defaultValue the table's `delta.targetFileSize`, else 128 MiB */
  readonly targetFileSizeBytes?: number | undefined
  /** Columns (fields of structs with dots) by which all rows of each partition are ordered along a Z curve, so that conditions on any of them skip files. */
  readonly zorderBy?: readonly string[] | undefined
  /** Rewrite the files with deletion vectors instead, whatever their size, so that deleted rows are gone from the newest version. @defaultValue false */
  readonly purge?: boolean | undefined
  /** Of a clustered table: rewrite what was clustered by other columns, too. @defaultValue false */
  readonly full?: boolean | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: Progress) => void) | undefined
}

export interface OptimizeResult {
  /** The version that holds the outcome; the newest one when there was nothing to do. */
  readonly version: number
  readonly filesAdded: number
  readonly filesRemoved: number
  readonly bytesAdded: number
  readonly bytesRemoved: number
  /** Files left as they are because somebody else removed one of their group meanwhile. */
  readonly filesConflicted: number
  readonly attempts: number
  readonly elapsedMs: number
}

export interface VacuumOptions {
  /** `full` looks at every file of the folder, `lite` at what the log says was removed. @defaultValue 'full' */
  readonly mode?: 'full' | 'lite' | undefined
  /** Files of versions up to this old are kept, in milliseconds. @defaultValue the table's `delta.deletedFileRetentionDuration`, 7 days */
  readonly retentionMs?: number | undefined
  /** Whether a retention below the table's own is allowed: writers and readers that are at work may lose their files. @defaultValue false */
  readonly force?: boolean | undefined
  /** Delete nothing, and tell what would be. @defaultValue false */
  readonly dryRun?: boolean | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: Progress) => void) | undefined
}

export interface VacuumResult {
  /** Of a dry run, the files that would be. */
  readonly filesDeleted: number
  readonly bytesDeleted: number
  /** On disk, folders that held nothing any more. */
  readonly foldersDeleted: number
  /** The first 1,000 of the files, relative to the table. */
  readonly files: readonly string[]
  readonly elapsedMs: number
}

export interface ChangeRowsOptions {
  readonly params?: SqlParameters | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: Progress) => void) | undefined
}

/** What DELETE or UPDATE did. */
export interface ChangeRowsResult extends ChangeResult {
  readonly elapsedMs: number
}

export interface RestoreOptions {
  readonly signal?: AbortSignal | undefined
}

export interface RestoreResult extends RestoreOutcome {
  readonly elapsedMs: number
}

export interface CheckpointResult {
  readonly version: number
  /** Actions in it. */
  readonly actions: number
  readonly bytes: number
  readonly elapsedMs: number
}

/** A change of rows; values are SQL expressions by column, `*` takes each column from the source. */
export type MergeUpdate =
  | { readonly and?: string | undefined; readonly update: Readonly<Record<string, string>> | '*' }
  | { readonly and?: string | undefined; readonly delete: true }

/** New rows; values are SQL expressions by column, `*` takes each column from the source. */
export interface MergeInsert {
  readonly and?: string | undefined
  readonly insert: Readonly<Record<string, string>> | '*'
}

/** Of the clauses of one kind the first one applies whose condition `and` holds; only the last may do without. */
export interface MergeOptions extends ChangeRowsOptions {
  /** A query. */
  readonly source: string
  /** Which rows match: a SQL condition. */
  readonly on: string
  /** Add columns that the table lacks where `*`, or a column by its name, takes them from the source. @defaultValue false */
  readonly withSchemaEvolution?: boolean | undefined
  /** What expressions call the table. @defaultValue 't' */
  readonly targetName?: string | undefined
  /** What expressions call the source. @defaultValue 's' */
  readonly sourceName?: string | undefined
  readonly whenMatched?: readonly MergeUpdate[] | undefined
  readonly whenNotMatched?: readonly MergeInsert[] | undefined
  readonly whenNotMatchedBySource?: readonly MergeUpdate[] | undefined
}

/** What MERGE did. */
export interface MergeRowsResult extends ChangeRowsResult {
  readonly rowsInserted: number
}

/** What object storage was asked, and what of it is kept here, since the lakehouse was opened. On disk and in memory nothing is asked. */
export interface StorageUse extends StoreUse {
  /** Of the tables that were opened, by name. */
  readonly tables: Readonly<Record<string, StoreUse>>
  /** The data files' footers and columns that are kept on this machine. */
  readonly cache: CacheUse
}

export interface TableSummary {
  readonly name: string
  readonly uri: string
}

export interface ColumnDescription {
  readonly name: string
  /** Delta's type name. */
  readonly type: string
  readonly nullable: boolean
  readonly partition: boolean
  readonly comment: string | undefined
}

export interface TableDetail {
  readonly name: string
  readonly uri: string
  readonly id: string
  readonly version: number
  readonly description: string | undefined
  readonly columns: readonly ColumnDescription[]
  readonly partitionColumns: readonly string[]
  readonly properties: Readonly<Record<string, string>>
  readonly files: number
  readonly bytes: number
  /** Absent when a file has no statistics. */
  readonly rows: number | undefined
  readonly minReaderVersion: number
  readonly minWriterVersion: number
  readonly features: readonly string[]
  /** Milliseconds since 1970-01-01 UTC. */
  readonly createdAtMs: number | undefined
}

export interface ColumnDefinition {
  readonly name: string
  /** `STRING`, `BIGINT`, `DECIMAL(10,2)`, `ARRAY<…>` …: Spark's names and DuckDB's. */
  readonly type: string
  /** @defaultValue true */
  readonly nullable?: boolean | undefined
  readonly comment?: string | undefined
  /** What rows have that do not mention the column, in Spark's SQL. */
  readonly default?: string | undefined
  /** What its values are computed by, in Spark's SQL over other columns. */
  readonly generatedAs?: string | undefined
  /** Makes the table number its rows in this BIGINT column. */
  readonly identity?: IdentityDefinition | undefined
}

export interface IdentityDefinition {
  /** @defaultValue 1 */
  readonly start?: bigint | number | undefined
  /** Other than 0. @defaultValue 1 */
  readonly step?: bigint | number | undefined
  /** Whether rows may bring numbers of their own. @defaultValue false */
  readonly allowsExplicit?: boolean | undefined
}

export interface CreateTableOptions {
  readonly columns: readonly ColumnDefinition[]
  readonly partitionBy?: readonly string[] | undefined
  /** Paths of columns, at most 4. A table is partitioned or clustered, not both. */
  readonly clusterBy?: readonly (readonly string[])[] | undefined
  readonly properties?: Readonly<Record<string, string>> | undefined
  /** Conditions that every row satisfies, in Spark's SQL. */
  readonly constraints?: readonly { readonly name: string; readonly expression: string }[] | undefined
  readonly comment?: string | undefined
  /** Leave a table that is there as it is. @defaultValue false */
  readonly ifNotExists?: boolean | undefined
  /** Put the table in the place of one that is there, as its next version. @defaultValue false */
  readonly orReplace?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

/** Which version: one of the two, or neither for the newest. `timestamp` is ISO 8601 (UTC unless it says otherwise), a Date, or milliseconds. */
export interface AsOf {
  readonly version?: number | undefined
  readonly timestamp?: string | Date | number | undefined
}
