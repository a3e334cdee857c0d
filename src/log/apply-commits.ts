import type { Connection, Database } from '../engine/database.js'
import { ident, literal } from '../engine/sql-text.js'
import { type AddFile, deletionVectorId, type RemoveFile } from '../protocol/actions.js'
import type { Commit } from '../protocol/commit-file.js'
import { canonicalFilePath } from '../protocol/file-path.js'
import { FILE_ACTION_STRUCT, type FilesRelation } from './files-relation.js'

/** A row of the files relation in the making. */
type FileRow = Partial<AddFile> &
  Partial<Pick<RemoveFile, 'deletionTimestamp' | 'extendedFileMetadata'>> & {
    readonly file: string
    readonly dv_id: string | null
    readonly added_at: number | null
    removed_at: number | null
  }

/** What a run of commits does to the relation. */
export interface FoldedCommits {
  readonly rows: readonly FileRow[]
  /** Removals of files that these commits had not added. */
  readonly removals: readonly FileRow[]
  /** Those of the removals that end an earlier life: the first word on a file is the one that ends it. */
  readonly ended: readonly FileRow[]
  /** Ends of an earlier life, for files that these commits add again. Most adds are of new files and end nothing. */
  readonly replaced: readonly FileRow[]
}

/**
 * Folds commits, oldest first, into rows and removals. Pure.
 *
 * Inside one commit removes go first: a file whose deletion vector is swapped is removed and added under two keys, in
 * either order of lines.
 *
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#action-reconciliation
 */
export function foldCommits(commits: readonly Commit[], roots: readonly string[]): FoldedCommits {
  const rows: FileRow[] = []
  const removals: FileRow[] = []
  const ended: FileRow[] = []
  const replaced: FileRow[] = []
  const live = new Map<string, FileRow>()
  const spokenOf = new Set<string>()
  const keyed = (action: AddFile | RemoveFile) => {
    const file = canonicalFilePath(action.path, roots)
    const dv_id = deletionVectorId(action.deletionVector)
    return { file, dv_id, key: JSON.stringify([file, dv_id]) }
  }
  for (const { version, adds, removes } of commits) {
    for (const remove of removes) {
      const { file, dv_id, key } = keyed(remove)
      const row = live.get(key)
      if (row) {
        row.removed_at = version
        Object.assign(row, { deletionTimestamp: remove.deletionTimestamp ?? 0 })
        live.delete(key)
      } else {
        const removal = { ...(remove as Partial<AddFile>), file, dv_id, added_at: null, removed_at: version }
        removals.push(removal)
        if (!spokenOf.has(key)) ended.push(removal)
      }
      spokenOf.add(key)
    }
    for (const add of adds) {
      const { file, dv_id, key } = keyed(add)
      const before = live.get(key)
      if (before) before.removed_at = version
      else if (!spokenOf.has(key)) replaced.push({ path: add.path, file, dv_id, added_at: null, removed_at: version })
      spokenOf.add(key)
      const row: FileRow = { ...add, file, dv_id, added_at: version, removed_at: null }
      live.set(key, row)
      rows.push(row)
    }
  }
  return { rows, removals, ended, replaced }
}

/**
 * Brings the relation up to the state after these commits.
 *
 * @param filesAreNew promises that no added file was in the table before, as for names that only we make.
 */
export async function applyFolded(
  database: Database,
  relation: FilesRelation,
  folded: FoldedCommits,
  filesAreNew: boolean,
): Promise<void> {
  const name = ident(relation.name)
  await database.use(async (connection) => {
    await connection.run('BEGIN TRANSACTION')
    try {
      const told = await endLives(connection, name, folded.ended)
      if (!filesAreNew) await endLives(connection, name, folded.replaced)
      // A removal that ended a life is told by it.
      if (told < folded.removals.length)
        await relation.insertFrom(
          connection,
          `SELECT *, NULL AS stats_parsed FROM (${SOURCE}) r WHERE NOT EXISTS (SELECT 1 FROM ${name} f ` +
            'WHERE f.file = r.file AND f.dv_id IS NOT DISTINCT FROM r.dv_id AND f.removed_at = r.removed_at)',
          [JSON.stringify(folded.removals)],
        )
      if (folded.rows.length > 0)
        await relation.insertFrom(connection, `SELECT *, NULL AS stats_parsed FROM (${SOURCE})`, [JSON.stringify(folded.rows)])
      await connection.run('COMMIT')
    } catch (error) {
      await connection.run('ROLLBACK')
      throw error
    }
  })
}

/** @returns how many files there were to end, each of which is there at most once. */
async function endLives(connection: Connection, name: string, ended: readonly FileRow[]): Promise<number> {
  if (ended.length === 0) return 0
  const ends = ended.map(({ file, dv_id, removed_at, deletionTimestamp }) => ({ file, dv_id, removed_at, deletionTimestamp }))
  const [changed] = await connection.rows<{ readonly Count: bigint }>(
    `UPDATE ${name} AS f SET removed_at = r.removed_at, "deletionTimestamp" = r."deletionTimestamp" FROM (${ENDS}) r ` +
      'WHERE f.file = r.file AND f.dv_id IS NOT DISTINCT FROM r.dv_id AND f.removed_at IS NULL',
    { params: [JSON.stringify(ends)] },
  )
  return Number(changed?.Count ?? 0)
}

/** In the order of the relation's columns. */
const SOURCE = listed(`"file" VARCHAR, "dv_id" VARCHAR, "added_at" BIGINT, "removed_at" BIGINT, ${FILE_ACTION_STRUCT}`)
const ENDS = listed('"file" VARCHAR, "dv_id" VARCHAR, "removed_at" BIGINT, "deletionTimestamp" BIGINT')

/** The rows that parameter 1 holds as a JSON array. */
function listed(fields: string): string {
  return `SELECT r.* FROM (SELECT unnest(json_transform($1::JSON, ${literal(JSON.stringify(`STRUCT(${fields})[]`))})) AS r)`
}
