import { dirname, join } from 'node:path'
import { DeltaError } from '../base/errors.js'
import { isAbsoluteFilePath } from '../protocol/file-path.js'
import type { ObjectStore } from '../storage/store.js'

/**
 * Where on this machine a file of a table lies that is outside of the table's own folder, as those of a clone are.
 *
 * @param file canonical.
 * @returns `undefined` for one that is inside.
 * @throws {DeltaError} `FEATURE_UNSUPPORTED` for one in another store.
 */
export function outsidePath(store: ObjectStore, file: string): string | undefined {
  if (file.startsWith('/')) return file
  const climbs = file.includes('..') && file.split('/').includes('..')
  if (!climbs && !isAbsoluteFilePath(file)) return undefined
  const probe = climbs ? store.localPath('_') : undefined
  if (probe !== undefined) return join(dirname(probe), file)
  throw new DeltaError('FEATURE_UNSUPPORTED', 'a file of the table lies in another store', { file })
}
