import { crc32 } from 'node:zlib'
import { DeltaError } from '../base/errors.js'
import type { Action } from '../protocol/actions.js'
import { type Commit, formatCommit, parseCommit } from '../protocol/commit-file.js'
import { isAsSealed, isSeal, SEAL_BLANK, sealed } from '../protocol/commit-seal.js'

/**
 * The bytes of a log entry of ours: `commitInfo`, the first line, says what all of them add up to, so that a damaged byte
 * which still reads as a commit does not pass for one.
 */
export function formatEntry(actions: readonly Action[]): Uint8Array {
  const withBlank = actions.map((action) =>
    'commitInfo' in action ? { commitInfo: { ...action.commitInfo, checksum: SEAL_BLANK } } : action,
  )
  return sealed(formatCommit(withBlank), crc32)
}

/**
 * Reads the bytes of a log entry, of whichever writer.
 *
 * @throws {DeltaError} as `parseCommit`, and `LOG_LINE_MALFORMED` for bytes that do not add up to what the entry says.
 */
export function parseEntry(version: number, bytes: Uint8Array, file: string): Commit {
  const commit = parseCommit(version, bytes, file)
  if (isAsSealed(bytes, commit.commitInfo?.checksum, crc32)) return commit
  throw new DeltaError(
    'LOG_LINE_MALFORMED',
    'log entry is damaged: its bytes do not add up to what its first line says',
    { file, line: 1 },
    {
      hint: 'restore the file from a copy, or read an earlier version; `commitInfo.checksum` must go from an entry that was edited on purpose',
    },
  )
}

/** Whether a commit says what its bytes add up to, so that one which was read is as it was written. */
export function isSummed({ commitInfo }: Commit): boolean {
  return isSeal(commitInfo?.checksum)
}
