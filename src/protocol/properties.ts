import { DeltaError } from '../base/errors.js'
import { isTrue } from './table-features.js'

/** The table properties that this library acts on. @see PROTOCOL.md#table-properties */
export interface TableProperties {
  readonly appendOnly: boolean
  /** A checkpoint follows every this many commits; at least 1. */
  readonly checkpointInterval: number
  /** How long a removed file stays in checkpoints as a tombstone. */
  readonly deletedFileRetentionMs: number
  /** Leaf columns with statistics, from the first; -1 is all. */
  readonly dataSkippingNumIndexedCols: number
  /** The size that OPTIMIZE aims at, in bytes. */
  readonly targetFileSizeBytes: number
  readonly inCommitTimestamps: boolean
}

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

/** Reads a table's configuration; what is absent or unreadable has its default, as in Spark. */
export function tableProperties(configuration: Readonly<Record<string, string>>): TableProperties {
  const integer = (key: string, fallback: number, min: number) => {
    const value = Number(configuration[key]?.trim() || Number.NaN)
    return Number.isSafeInteger(value) && value >= min ? value : fallback
  }
  return {
    appendOnly: isTrue(configuration['delta.appendOnly']),
    checkpointInterval: integer('delta.checkpointInterval', 10, 1),
    deletedFileRetentionMs: parseInterval(configuration['delta.deletedFileRetentionDuration']) ?? 7 * DAY_MS,
    dataSkippingNumIndexedCols: integer('delta.dataSkippingNumIndexedCols', 32, -1),
    targetFileSizeBytes: parseSize(configuration['delta.targetFileSize']) ?? 128 * 2 ** 20,
    inCommitTimestamps: isTrue(configuration['delta.enableInCommitTimestamps']),
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
    const lower = given.toLowerCase()
    const key = Object.keys(KNOWN).find((known) => known.toLowerCase() === lower) ?? given.replace(/^delta\./i, 'delta.')
    if (key in canonical) throw new DeltaError('ARGUMENT_INVALID', 'table property is given twice', { property: key })
    canonical[key] = value
  }
  return canonical
}

/**
 * Refuses properties that a new table could not live up to.
 *
 * @throws {DeltaError} `FEATURE_UNSUPPORTED` for a `delta.` property whose feature this library does not write,
 * `ARGUMENT_INVALID` for a value out of range.
 */
export function checkNewProperties(configuration: Readonly<Record<string, string>>): void {
  for (const [key, value] of Object.entries(configuration)) {
    if (!key.startsWith('delta.')) continue
    const valid = KNOWN[key]
    if (!valid)
      throw new DeltaError('FEATURE_UNSUPPORTED', 'deltaic does not know how to keep this table property', { property: key })
    if (!valid(value)) throw new DeltaError('ARGUMENT_INVALID', 'table property has a bad value', { property: key, value })
  }
}

const wholeFrom = (min: number) => (value: string) => /^-?\d+$/.test(value) && Number(value) >= min
const isBoolean = (value: string) => /^(true|false)$/i.test(value)
const isInterval = (value: string) => parseInterval(value) !== undefined

const KNOWN: Readonly<Record<string, (value: string) => boolean>> = {
  'delta.appendOnly': isBoolean,
  'delta.checkpointInterval': wholeFrom(1),
  'delta.dataSkippingNumIndexedCols': wholeFrom(-1),
  'delta.deletedFileRetentionDuration': isInterval,
  'delta.logRetentionDuration': isInterval,
  'delta.setTransactionRetentionDuration': isInterval,
  'delta.enableExpiredLogCleanup': isBoolean,
  'delta.targetFileSize': (value) => parseSize(value) !== undefined,
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
