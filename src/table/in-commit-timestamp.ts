import type { Metadata } from '../protocol/actions.js'
import { tableProperties } from '../protocol/properties.js'

const ENABLED_AT_VERSION = 'delta.inCommitTimestampEnablementVersion'
const ENABLED_AT_TIME = 'delta.inCommitTimestampEnablementTimestamp'

/** The commit that ours comes after. */
export interface CommitBefore {
  readonly metadata: Metadata
  /** Its in-commit timestamp, or the time of its file where it has none; milliseconds since 1970-01-01 UTC. */
  readonly timeMs: number
}

export interface CommitTimestamp {
  /** None where the table has no in-commit timestamps. */
  readonly inCommitTimestamp: number | undefined
  /** The staged metadata with what it must say about its own commit. */
  readonly metadata: Metadata | undefined
}

/**
 * The time that a commit carries: later than the one before, whatever the clock says. Pure.
 *
 * The commit that enables such times on a table with a past says so in its own metadata, since versions before it are
 * found by the times of their files; a table that has them from its first version on says nothing.
 *
 * @param staged the metadata that the commit sets, if any.
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#in-commit-timestamps
 */
export function commitTimestamp(
  version: number,
  nowMs: number,
  staged: Metadata | undefined,
  before: CommitBefore | undefined,
): CommitTimestamp {
  const metadata = staged ?? before?.metadata
  if (!metadata || !isEnabled(metadata)) return { inCommitTimestamp: undefined, metadata: staged && without(staged) }
  const inCommitTimestamp = Math.max(nowMs, (before?.timeMs ?? Number.NEGATIVE_INFINITY) + 1)
  if (!staged) return { inCommitTimestamp, metadata: undefined }
  if (!before) return { inCommitTimestamp, metadata: without(staged) }
  const past = before.metadata.configuration
  const enabledAt = isEnabled(before.metadata)
    ? { version: past[ENABLED_AT_VERSION], time: past[ENABLED_AT_TIME] }
    : { version: String(version), time: String(inCommitTimestamp) }
  const { configuration, ...rest } = without(staged)
  const says =
    enabledAt.version === undefined || enabledAt.time === undefined
      ? configuration
      : { ...configuration, [ENABLED_AT_VERSION]: enabledAt.version, [ENABLED_AT_TIME]: enabledAt.time }
  return { inCommitTimestamp, metadata: { ...rest, configuration: says } }
}

/** Whether the time of the commit before is needed, and is that of its file. */
export function enablesInCommitTimestamps(staged: Metadata | undefined, before: Metadata): boolean {
  return staged !== undefined && isEnabled(staged) && !isEnabled(before)
}

function isEnabled({ configuration }: Metadata): boolean {
  return tableProperties(configuration).inCommitTimestamps
}

function without(metadata: Metadata): Metadata {
  const { [ENABLED_AT_VERSION]: version, [ENABLED_AT_TIME]: time, ...configuration } = metadata.configuration
  return version === undefined && time === undefined ? metadata : { ...metadata, configuration }
}
