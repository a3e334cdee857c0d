import { DeltaError } from '../base/errors.js'
import type { ObjectTag } from './store.js'

/** Takes the tag of an answer. @throws {DeltaError} `DATA_FILE_DAMAGED` when it is that of another object. */
export function checkTag(tag: ObjectTag | undefined, etag: string | undefined, path: string): void {
  if (!tag || etag === undefined) return
  if (tag.etag !== undefined && tag.etag !== etag) throw replaced(path)
  tag.etag = etag
}

/** A file of a table never changes, so whoever put another one in its place has damaged the table. */
export function replaced(path: string, cause?: unknown): DeltaError {
  const hint = 'it was replaced while it was read: ask again, and find out who writes into the folder of the table'
  return new DeltaError('DATA_FILE_DAMAGED', 'a data file of the table is not the one it was', { file: path }, { hint, cause })
}
