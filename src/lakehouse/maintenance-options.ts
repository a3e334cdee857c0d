import type { Progress } from './options.js'

export interface FsckOptions {
  /** Look at sizes and footers alone, and read no rows. @defaultValue false */
  readonly quick?: boolean | undefined
  /** Take files that are missing out of the table: the rows in them are lost. @defaultValue false */
  readonly repair?: boolean | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: Progress) => void) | undefined
}

/** A promise of the log or of a file that does not hold. */
export interface FsckProblem {
  /** Which promise: `missing`, `size`, `footer`, `rows`, `deletionVector`, `statistics`, `notNull`, `partitionValue`, `checkpoint`, `checksum`. */
  readonly check: string
  /** Relative to the table where it lies inside. */
  readonly file: string
  readonly detail: string
}

export interface FsckResult {
  /** The version that was checked. */
  readonly version: number
  readonly filesChecked: number
  /** The first 10,000. */
  readonly problems: readonly FsckProblem[]
  readonly problemsFound: number
  /** Missing files that were taken out of the table. */
  readonly filesRemoved: number
  /** Version checksums that differed from a log which all else bears out, and were taken away; that of the newest version is written anew. */
  readonly checksumsRemoved: number
  readonly elapsedMs: number
}

export interface CloneTableOptions {
  /** Refer to the source's files where they are, instead of copying them; on disk only. @defaultValue false */
  readonly shallow?: boolean | undefined
  /** Properties beside those of the source, or in place of them. */
  readonly properties?: Readonly<Record<string, string>> | undefined
  /** Leave a table that is there as it is. @defaultValue false */
  readonly ifNotExists?: boolean | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: Progress) => void) | undefined
}

export interface CloneTableResult {
  /** Whether there was no table of this name. */
  readonly created: boolean
  /** Of the source. */
  readonly files: number
  readonly bytes: number
  readonly filesCopied: number
  readonly bytesCopied: number
}

export interface ConvertOptions {
  /** The columns that folders `column=value` name, with their types, in the folders' order. */
  readonly partitionBy?: readonly { readonly name: string; readonly type: string }[] | undefined
  /** Take bounds and counts of NULLs from the footers, for queries to skip files by. @defaultValue true */
  readonly statistics?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

export interface ConvertTableResult {
  /** False when it was a Delta table already. */
  readonly converted: boolean
  readonly version: number
  readonly files: number
  readonly rows: number
}

export interface MaintenanceOptions {
  /** How often tables are looked at, in milliseconds. @defaultValue 5,000 */
  readonly everyMs?: number | undefined
}

/** How a table is, and what its upkeep did since this process began to look at it. */
export interface TableMaintenance {
  readonly table: string
  /** The version that was looked at last. */
  readonly version: number
  /** What it is to read all of it: files that there are, and that there would be if all of them were full. */
  readonly files: number
  readonly filesAtBest: number
  readonly bytes: number
  /** What writers brought, and what rewriting files cost, whoever did it. */
  readonly bytesAppended: number
  readonly bytesRewritten: number
  /** Bytes written for each byte that was brought, at least 1. */
  readonly writeAmplification: number
  readonly compactions: number
  /** Of these, those that clustered what they rewrote, by the columns that the table is clustered by. */
  readonly clusterings: number
  /** Files that compaction let go because somebody else changed them meanwhile. */
  readonly filesGivenUp: number
  readonly checkpoints: number
  readonly vacuums: number
  readonly filesVacuumed: number
  readonly failures: number
}
