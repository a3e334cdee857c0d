import { createHash } from 'node:crypto'

/**
 * Who a growing file is, whatever its name: its inode, and its first bytes. An inode alone is given to another file once
 * its first one is deleted; first bytes alone are the same in files that begin alike.
 *
 * How many bytes count is settled when the first rows are taken, as a file may be short then.
 */
export interface FileId {
  readonly inode: string
  readonly prefixBytes: number
  readonly prefixHash: string
  /** Counts on when a file was cut to nothing and begins as it did before. */
  readonly generation: number
}

export const FILE_PREFIX = 'file:'
export const OBJECT_PREFIX = 'object:'
const PREFIX_BYTES_MAX = 1024

export function fileId(inode: string, start: Uint8Array, generation = 0): FileId {
  const prefixBytes = Math.min(start.length, PREFIX_BYTES_MAX)
  return { inode, prefixBytes, prefixHash: hashOf(start.subarray(0, prefixBytes)), generation }
}

/** Its name in the table's log. */
export function appIdOf({ inode, prefixBytes, prefixHash, generation }: FileId): string {
  return `${FILE_PREFIX}${inode}-${prefixBytes}-${prefixHash}${generation === 0 ? '' : `-${generation}`}`
}

/** The file of such a name; `undefined` for the name of something else. */
export function parseAppId(appId: string): FileId | undefined {
  const match = /^file:(\d+)-(\d+)-([0-9a-f]{24})(?:-(\d+))?$/.exec(appId)
  if (!match) return undefined
  return {
    inode: match[1] ?? '',
    prefixBytes: Number(match[2]),
    prefixHash: match[3] ?? '',
    generation: Number(match[4] ?? 0),
  }
}

/** An object does not grow: one that was written anew is another. */
export function objectAppId(folder: string, path: string, modifiedAtMs: number): string {
  return `${OBJECT_PREFIX}${hashOf(Buffer.from(`${folder}\n${path}`))}-${modifiedAtMs.toString(36)}`
}

/** Under which a folder's own place stands: the time before which all that changed in it has been taken. */
export function folderAppId(folder: string): string {
  return `folder:${hashOf(Buffer.from(folder))}`
}

/** More than any file's first bytes that count. */
export const START_BYTES = PREFIX_BYTES_MAX

export function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 24)
}
