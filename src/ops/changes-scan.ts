import { CHANGE_FIELDS, CHANGE_TYPE, COMMIT_TIMESTAMP, COMMIT_VERSION } from '../protocol/change-feed.js'
import type { ObjectStore, StoreOptions } from '../storage/store.js'
import type { FileSource, HeldFiles } from '../table/file-source.js'
import { type ScanFile, scanSql } from '../table/scan-sql.js'
import type { Snapshot } from '../table/snapshot.js'
import type { ChangedFile } from './changes.js'

/** A query for changed rows, for as long as its files are held. */
export interface HeldChanges extends HeldFiles {
  /** Gives the table's columns and `CHANGE_FIELDS`. */
  readonly sql: string
}

/**
 * Makes changed rows readable as one relation.
 *
 * @param columns of the table, by name in lower case: those that will be read; `undefined` for all.
 * @throws {DeltaError} as `FileSource.open`: `DATA_FILE_MISSING` for files that were vacuumed.
 */
export async function openChanges(
  source: FileSource,
  store: ObjectStore,
  end: Snapshot,
  files: readonly ChangedFile[],
  columns: ReadonlySet<string> | undefined,
  options: StoreOptions = {},
): Promise<HeldChanges> {
  const schema = { ...end.schema, fields: [...end.schema.fields, ...CHANGE_FIELDS] }
  const constants = [...end.partitionColumns, COMMIT_VERSION, COMMIT_TIMESTAMP]
  const table = { schema, mapping: end.mapping, partitionColumns: constants }
  const wanted = columns && new Set([...columns, CHANGE_TYPE])
  const held = await source.open(store, files, table, wanted, options)
  const changed = files.map((file, at) => withConstants(file, held.files[at] as ScanFile))
  const isChangeFile = (at: number) => files[at]?.changeType === undefined
  const scan = (scanned: readonly ScanFile[], partitionColumns: readonly string[]) => {
    const unread = new Set(end.partitionColumns.filter((name) => columns !== undefined && !columns.has(name.toLowerCase())))
    return scanSql({ fields: schema.fields, partitionColumns, mapping: end.mapping, unread }, scanned)
  }
  const scans = [
    ...layers(changed.filter((_, at) => isChangeFile(at))).map((layer) => scan(layer, constants)),
    ...layers(changed.filter((_, at) => !isChangeFile(at))).map((layer) => scan(layer, [...constants, CHANGE_TYPE])),
  ]
  return { ...held, sql: scans.length > 0 ? scans.join(' UNION ALL ') : scan([], constants) }
}

/** What every row of a file has in common goes where its partition values are: neither is in the file. */
function withConstants({ changeType, commitVersion, commitTimeMs }: ChangedFile, file: ScanFile): ScanFile {
  const constants = {
    ...(changeType === undefined ? {} : { [CHANGE_TYPE]: changeType }),
    [COMMIT_VERSION]: String(commitVersion),
    [COMMIT_TIMESTAMP]: new Date(commitTimeMs).toISOString(),
  }
  return { ...file, partitionValues: { ...file.partitionValues, ...constants } }
}

/** A file comes and goes, and its vector is swapped: one scan has each file once, so that its constants are one row. */
export function layers(files: readonly ScanFile[]): ScanFile[][] {
  const seen = new Map<string, number>()
  const all: ScanFile[][] = []
  for (const file of files) {
    const nth = seen.get(file.localFile) ?? 0
    seen.set(file.localFile, nth + 1)
    const layer = all[nth]
    if (layer) layer.push(file)
    else all[nth] = [file]
  }
  return all
}
