import { posix } from 'node:path'
import { DeltaError } from '../base/errors.js'
import { decodeFilePath, encodeFilePath, isAbsoluteFilePath } from '../protocol/file-path.js'
import { LocalStore } from '../storage/local.js'
import type { ObjectInfo, ObjectStore, StoreOptions, StorePlace } from '../storage/store.js'

/** Where absolute paths begin. */
const DISK = new LocalStore('/')

/** Whether a file lies outside of its table's own folder, as those of a shallow clone do. @param file canonical. */
export function isOutside(file: string): boolean {
  return isAbsoluteFilePath(file) || (file.includes('..') && file.split('/').includes('..'))
}

/**
 * The store that holds a file of a table, and its path there: the table's own, a disk of this machine, or another place that
 * the table's store leads to.
 *
 * @param file canonical.
 * @throws {DeltaError} `FEATURE_UNSUPPORTED` for a file that none of them holds.
 */
export function placeOf(store: ObjectStore, file: string): StorePlace {
  if (!isOutside(file)) return { store, path: file }
  const whole = isAbsoluteFilePath(file) ? file : climbed(store.uri, file)
  if (whole.startsWith('/')) return { store: DISK, path: posix.normalize(whole).slice(1) }
  const place = store.elsewhere?.place(whole)
  if (place) return place
  throw new DeltaError('FEATURE_UNSUPPORTED', 'a file of the table lies in another store', { file })
}

/** What the store says of a file, wherever it lies. @throws {DeltaError} as `placeOf`. */
export async function headOf(store: ObjectStore, file: string, options: StoreOptions): Promise<ObjectInfo | undefined> {
  const place = placeOf(store, file)
  return await place.store.head(place.path, options)
}

/** The absolute path that another table's log gives a file. */
export function absolutePath(store: ObjectStore, file: string): string {
  const place = placeOf(store, file)
  const [, root = '', prefix = ''] = /^(s3:\/\/[^/]+|memory:[^/]+)(.*)$/s.exec(place.store.uri) ?? []
  // Of the spellings of a place on disk, the one by which Spark knows again a file of which it deletes rows.
  if (root === '') return `${place.store.uri.replace(/^file:\/+/, 'file:/').replace(/\/$/, '')}/${encodeFilePath(place.path)}`
  return `${root}${encodeFilePath(`${prefix}/${place.path}`)}`
}

/** A path relative to a table that leads out of its folder. */
function climbed(uri: string, file: string): string {
  if (uri.startsWith('file://')) return posix.join(decodeFilePath(uri.slice('file://'.length)), file)
  const [, scheme = '', rest = ''] = /^(\w+:(?:\/\/)?)(.*)$/s.exec(uri) ?? []
  return `${scheme}${posix.join(rest, file)}`
}
