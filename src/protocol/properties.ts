import { DeltaError } from '../base/errors.js'
import { isTrue } from './table-features.js'

/** The table properties that this library acts on. @see PROTOCOL.md#table-properties */
export interface TableProperties {
  /** Whether the rows are those of a materialized view, and come from its definition alone. */
  readonly isView: boolean
  readonly appendOnly: boolean
  /** Conditions that hold for every row, as Spark SQL, by name. */
  readonly constraints: ReadonlyMap<string, string>
  /** How far writers must look at each other: `WriteSerializable` unless the table says otherwise. */
  readonly isolationLevel: 'Serializable' | 'WriteSerializable'

  /** A checkpoint follows every this many commits; at least 1. */
  readonly checkpointInterval: number
  readonly checkpointPolicy: 'classic' | 'v2'
  /** Whether checkpoints hold statistics as JSON text, and as typed columns. */
  readonly writeStatsAsJson: boolean
  readonly writeStatsAsStruct: boolean
  /** Whether commits and checkpoints past their retention are deleted, and which time they are kept. */
  readonly enableExpiredLogCleanup: boolean
  readonly logRetentionMs: number
  /** No log is cleaned up below this version. */
  readonly checkpointProtectionBeforeVersion: number
  /** How old versions are that `DROP FEATURE … TRUNCATE HISTORY` may delete. */
  readonly truncateHistoryRetentionMs: number
  /** How long a removed file stays in checkpoints as a tombstone. */
  readonly deletedFileRetentionMs: number
  /** How long a producer's last transaction is remembered; for ever without. */
  readonly setTransactionRetentionMs: number | undefined

  /** Leaf columns with statistics, from the first; -1 is all. */
  readonly dataSkippingNumIndexedCols: number
  /** Columns with statistics by name, as paths; these go before the number. */
  readonly dataSkippingStatsColumns: readonly (readonly string[])[] | undefined
  /** Characters of a text that statistics keep. */
  readonly dataSkippingStringPrefixLength: number

  /** The size that OPTIMIZE aims at, in bytes. */
  readonly targetFileSizeBytes: number
  /** How data files are compressed, where the table says. */
  readonly parquetCodec: ParquetCodec | undefined
  /** Whether data files hold the partition columns too. */
  readonly writePartitionColumns: boolean
  readonly autoCompact: boolean
  readonly optimizeWrite: boolean

  readonly columnMappingMode: 'none' | 'name' | 'id'
  /** The highest id that a column ever had. */
  readonly maxColumnId: number
  readonly deletionVectors: boolean
  readonly changeDataFeed: boolean
  readonly typeWidening: boolean
  readonly rowTracking: boolean
  /** New files get no row ids while this is so. */
  readonly rowTrackingSuspended: boolean
  /** The columns of data files in which rows carry their ids and commit versions along. */
  readonly materializedRowIdColumn: string | undefined
  readonly materializedRowCommitVersionColumn: string | undefined

  readonly inCommitTimestamps: boolean
  /** Where in the log the timestamps begin; from version 0 without. */
  readonly inCommitTimestampEnablement: { readonly version: number; readonly timestampMs: number } | undefined
}

export type ParquetCodec = 'uncompressed' | 'snappy' | 'gzip' | 'zstd' | 'lz4_raw' | 'brotli'

const DAY_MS = 86_400_000
const UNIT_MS: Readonly<Record<string, number>> = {
  microsecond: 0.001,
  millisecond: 1,
  second: 1000,
  minute: 60_000,
  hour: 3_600_000,
  day: DAY_MS,
  week: 7 * DAY_MS,
}

/** The query of which a table holds the rows. */
export const VIEW_DEFINITION = 'deltaic.view.definition'

const READ = new WeakMap<object, TableProperties>()

/** Reads a table's configuration; what is absent or unreadable has its default, as in Spark. */
export function tableProperties(configuration: Readonly<Record<string, string>>): TableProperties {
  const read = READ.get(configuration) ?? readProperties(configuration)
  READ.set(configuration, read)
  return read
}

function readProperties(configuration: Readonly<Record<string, string>>): TableProperties {
  const text = (name: string) => configuration[`delta.${name}`]
  const flag = (name: string, fallback = false) => (isBoolean(text(name) ?? '') ? isTrue(text(name)) : fallback)
  const integer = (name: string, fallback: number, min: number) => {
    const value = Number(text(name)?.trim() || Number.NaN)
    return Number.isSafeInteger(value) && value >= min ? value : fallback
  }
  const choice = <Value extends string>(name: string, values: readonly Value[]) => {
    const given = text(name)?.trim().toLowerCase()
    return values.find((value) => value.toLowerCase() === given)
  }
  const enablementVersion = integer('inCommitTimestampEnablementVersion', -1, 0)
  return {
    isView: configuration[VIEW_DEFINITION] !== undefined,
    appendOnly: flag('appendOnly'),
    constraints: new Map(
      Object.entries(configuration).flatMap(([key, expression]) =>
        key.startsWith(CONSTRAINT) ? [[key.slice(CONSTRAINT.length), expression] as const] : [],
      ),
    ),
    isolationLevel: choice('isolationLevel', ISOLATION_LEVELS) ?? 'WriteSerializable',
    checkpointInterval: integer('checkpointInterval', 10, 1),
    checkpointPolicy: choice('checkpointPolicy', CHECKPOINT_POLICIES) ?? 'classic',
    writeStatsAsJson: flag('checkpoint.writeStatsAsJson', true),
    writeStatsAsStruct: flag('checkpoint.writeStatsAsStruct', true),
    enableExpiredLogCleanup: flag('enableExpiredLogCleanup', true),
    logRetentionMs: parseInterval(text('logRetentionDuration')) ?? 30 * DAY_MS,
    checkpointProtectionBeforeVersion: integer('requireCheckpointProtectionBeforeVersion', 0, 0),
    truncateHistoryRetentionMs: parseInterval(text('dropFeatureTruncateHistory.retentionDuration')) ?? DAY_MS,
    deletedFileRetentionMs: parseInterval(text('deletedFileRetentionDuration')) ?? 7 * DAY_MS,
    setTransactionRetentionMs: parseInterval(text('setTransactionRetentionDuration')),
    dataSkippingNumIndexedCols: integer('dataSkippingNumIndexedCols', 32, -1),
    dataSkippingStatsColumns: parseColumnPaths(text('dataSkippingStatsColumns')),
    dataSkippingStringPrefixLength: integer('dataSkippingStringPrefixLength', 32, 0),
    targetFileSizeBytes: parseSize(text('targetFileSize')) ?? 128 * 2 ** 20,
    parquetCodec: codecNamed(text('parquet.compression.codec')),
    writePartitionColumns: flag('writePartitionColumnsToParquet'),
    autoCompact: flag('autoOptimize.autoCompact'),
    optimizeWrite: flag('autoOptimize.optimizeWrite'),
    columnMappingMode: choice('columnMapping.mode', MAPPING_MODES) ?? 'none',
    maxColumnId: integer('columnMapping.maxColumnId', 0, 0),
    deletionVectors: flag('enableDeletionVectors'),
    changeDataFeed: flag('enableChangeDataFeed'),
    typeWidening: flag('enableTypeWidening'),
    rowTracking: flag('enableRowTracking'),
    rowTrackingSuspended: flag('rowTrackingSuspended'),
    materializedRowIdColumn: text('rowTracking.materializedRowIdColumnName'),
    materializedRowCommitVersionColumn: text('rowTracking.materializedRowCommitVersionColumnName'),
    inCommitTimestamps: flag('enableInCommitTimestamps'),
    inCommitTimestampEnablement:
      enablementVersion < 0
        ? undefined
        : { version: enablementVersion, timestampMs: integer('inCommitTimestampEnablementTimestamp', 0, 0) },
  }
}

/**
 * The properties of the protocol in its own spelling: people write them in any letter case.
 *
 * @throws {DeltaError} `ARGUMENT_INVALID` when one is given twice.
 */
export function canonicalProperties(configuration: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const canonical: Record<string, string> = {}
  for (const [given, value] of Object.entries(configuration)) {
    const key = canonicalKey(given)
    if (key in canonical) throw new DeltaError('ARGUMENT_INVALID', 'table property is given twice', { property: key })
    canonical[key] = value
  }
  return canonical
}

/** A property's name in the protocol's spelling; one that the protocol does not know keeps its letter case. */
export function canonicalKey(given: string): string {
  const lower = given.toLowerCase()
  return CANONICAL.get(lower) ?? given.replace(/^delta\.(feature\.)?/i, (prefix) => prefix.toLowerCase())
}

/**
 * Refuses properties that nobody may give a table, or that it could not live up to.
 *
 * @throws {DeltaError} `ARGUMENT_INVALID` for an unknown `delta.` property, a value out of range, or one that the table
 * sets itself; `FEATURE_UNSUPPORTED` for a promise that this library does not keep.
 */
export function checkNewProperties(configuration: Readonly<Record<string, string>>): void {
  for (const [key, value] of Object.entries(configuration)) {
    if (!key.startsWith('delta.')) continue
    if (key.startsWith(CONSTRAINT))
      throw refusedProperty(key, 'a constraint is no property to be set', 'use CONSTRAINT … CHECK (…) instead')
    if (SET_BY_TABLE.has(key)) throw refusedProperty(key, 'the table sets this property itself')
    const valid = key.startsWith('delta.feature.') ? isRequest : KNOWN[key]
    if (!valid) throw refusedProperty(key, 'there is no such table property', 'names of your own do not begin with delta.')
    if (!valid(value)) throw new DeltaError('ARGUMENT_INVALID', 'table property has a bad value', { property: key, value })
    if (UNKEPT.has(key) && !/^(false)?$/i.test(value))
      throw new DeltaError('FEATURE_UNSUPPORTED', 'deltaic does not keep this table property', { property: key })
  }
}

function refusedProperty(property: string, message: string, hint?: string): DeltaError {
  return new DeltaError('ARGUMENT_INVALID', message, { property }, { hint })
}

const CONSTRAINT = 'delta.constraints.'
const ISOLATION_LEVELS = ['Serializable', 'WriteSerializable'] as const
const CHECKPOINT_POLICIES = ['classic', 'v2'] as const
const MAPPING_MODES = ['none', 'name', 'id'] as const
const CODECS = ['uncompressed', 'snappy', 'gzip', 'zstd', 'lz4_raw', 'brotli'] as const

const wholeFrom =
  (min: number, max = Number.MAX_SAFE_INTEGER) =>
  (value: string) =>
    /^-?\d+$/.test(value) && Number(value) >= min && Number(value) <= max
const oneOf = (values: readonly string[]) => (value: string) => values.some((one) => one.toLowerCase() === value.toLowerCase())
const isBoolean = (value: string) => /^(true|false)$/i.test(value)
const isInterval = (value: string) => parseInterval(value) !== undefined
const isRequest = (value: string) => /^(supported|enabled)$/i.test(value)
const isText = () => true

const KNOWN: Readonly<Record<string, (value: string) => boolean>> = {
  'delta.appendOnly': isBoolean,
  'delta.autoOptimize.autoCompact': oneOf(['true', 'false', 'auto', 'legacy']),
  'delta.autoOptimize.optimizeWrite': isBoolean,
  'delta.checkpoint.writeStatsAsJson': isBoolean,
  'delta.checkpoint.writeStatsAsStruct': isBoolean,
  'delta.checkpointInterval': wholeFrom(1),
  'delta.checkpointPolicy': oneOf(CHECKPOINT_POLICIES),
  'delta.checkpointRetentionDuration': isInterval,
  'delta.columnMapping.maxColumnId': wholeFrom(0),
  'delta.columnMapping.mode': oneOf(MAPPING_MODES),
  'delta.compatibility.symlinkFormatManifest.enabled': isBoolean,
  'delta.dataSkippingNumIndexedCols': wholeFrom(-1),
  'delta.dataSkippingStatsColumns': (value) => parseColumnPaths(value) !== undefined,
  'delta.dataSkippingStringPrefixLength': wholeFrom(0),
  'delta.deletedFileRetentionDuration': isInterval,
  'delta.dropFeatureTruncateHistory.retentionDuration': isInterval,
  'delta.enableChangeDataFeed': isBoolean,
  'delta.enableDeletionVectors': isBoolean,
  'delta.enableExpiredLogCleanup': isBoolean,
  'delta.enableIcebergCompatV1': isBoolean,
  'delta.enableIcebergCompatV2': isBoolean,
  'delta.enableIcebergCompatV3': isBoolean,
  'delta.enableInCommitTimestamps': isBoolean,
  'delta.enableRowTracking': isBoolean,
  'delta.enableTypeWidening': isBoolean,
  'delta.enableVariantShredding': isBoolean,
  'delta.inCommitTimestampEnablementTimestamp': wholeFrom(0),
  'delta.inCommitTimestampEnablementVersion': wholeFrom(0),
  // Spark refuses a table that says WriteSerializable.
  'delta.isolationLevel': oneOf(['Serializable']),
  'delta.logRetentionDuration': isInterval,
  'delta.minReaderVersion': wholeFrom(1, 3),
  'delta.minWriterVersion': wholeFrom(1, 7),
  'delta.parquet.compression.codec': (value) => codecNamed(value) !== undefined,
  'delta.parquet.format.version': (value) => /^\d+\.\d+\.\d+$/.test(value),
  'delta.randomPrefixLength': wholeFrom(1),
  'delta.randomizeFilePrefixes': isBoolean,
  'delta.requireCheckpointProtectionBeforeVersion': wholeFrom(0),
  'delta.rowTracking.materializedRowCommitVersionColumnName': isText,
  'delta.rowTracking.materializedRowIdColumnName': isText,
  'delta.rowTrackingSuspended': isBoolean,
  'delta.setTransactionRetentionDuration': isInterval,
  'delta.targetFileSize': (value) => parseSize(value) !== undefined,
  'delta.tuneFileSizesForRewrites': isBoolean,
  'delta.universalFormat.enabledFormats': isText,
  'delta.writePartitionColumnsToParquet': isBoolean,
}

/** What only the table itself may write into its configuration. */
const SET_BY_TABLE: ReadonlySet<string> = new Set([
  'delta.columnMapping.maxColumnId',
  'delta.inCommitTimestampEnablementTimestamp',
  'delta.inCommitTimestampEnablementVersion',
  'delta.requireCheckpointProtectionBeforeVersion',
  'delta.rowTracking.materializedRowCommitVersionColumnName',
  'delta.rowTracking.materializedRowIdColumnName',
  'delta.rowTrackingSuspended',
])

/** Promises of files beside the table that somebody would have to keep up with it. */
const UNKEPT: ReadonlySet<string> = new Set([
  'delta.compatibility.symlinkFormatManifest.enabled',
  'delta.universalFormat.enabledFormats',
])

const CANONICAL: ReadonlyMap<string, string> = new Map([
  ...Object.keys(KNOWN).map((key) => [key.toLowerCase(), key] as const),
  ['delta.enablechangedatacapture', 'delta.enableChangeDataFeed'],
])

function codecNamed(text: string | undefined): ParquetCodec | undefined {
  const given = text?.trim().toLowerCase()
  return given === 'none' ? 'uncompressed' : given === 'lz4' ? 'lz4_raw' : CODECS.find((codec) => codec === given)
}

/**
 * Reads a list of columns as people write it (`a, s.b, \`odd, name\`.c`) as paths.
 *
 * @returns `undefined` when it is absent or cannot be read.
 */
function parseColumnPaths(text: string | undefined): readonly (readonly string[])[] | undefined {
  if (text === undefined) return undefined
  const paths: string[][] = []
  const part = /\s*(?:`((?:[^`]|``)+)`|([^`.,\s]+))\s*([.,]|$)/y
  for (let before: string | undefined = ','; part.lastIndex < text.trimEnd().length; ) {
    const [, quoted, plain, after] = part.exec(text) ?? []
    const name = quoted?.replaceAll('``', '`') ?? plain
    if (name === undefined) return undefined
    if (before === '.') paths.at(-1)?.push(name)
    else paths.push([name])
    before = after
  }
  return /[.,]\s*$/.test(text) ? undefined : paths
}

/** Reads Spark's interval text (`interval 7 days`, `2 weeks`, `1 hour 30 minutes`) as milliseconds. */
export function parseInterval(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const words = text
    .trim()
    .toLowerCase()
    .replace(/^interval\s+/, '')
    .split(/\s+/)
  if (words.length < 2 || words.length % 2 !== 0) return undefined
  let total = 0
  for (let i = 0; i < words.length; i += 2) {
    const amount = Number(words[i])
    const unit = UNIT_MS[(words[i + 1] ?? '').replace(/s$/, '')]
    if (!Number.isFinite(amount) || amount < 0 || unit === undefined) return undefined
    total += amount * unit
  }
  return total
}

/** Reads a size as people write it (`128MB`, `1gb`, `1048576`): powers of 1024. */
export function parseSize(text: string | undefined): number | undefined {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?\s*$/i.exec(text ?? '')
  if (!match) return undefined
  const power = ['', 'k', 'm', 'g', 't'].indexOf((match[2] ?? '').toLowerCase())
  const bytes = Math.round(Number(match[1]) * 1024 ** power)
  return bytes > 0 ? bytes : undefined
}
