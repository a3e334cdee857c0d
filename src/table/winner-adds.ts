import { ident } from '../engine/sql-text.js'
import { applyFolded, foldCommits } from '../log/apply-commits.js'
import { FilesRelation, type RelationShape } from '../log/files-relation.js'
import type { LogDependencies } from '../log/table-log.js'
import type { AddFile } from '../protocol/actions.js'

let relations = 0

/**
 * Which of these files a condition over the files relation (`part`, `stat`) keeps: what pruning would have read of them.
 *
 * @param shape what the condition was made for.
 */
export async function addsSelected(
  { database }: Pick<LogDependencies, 'database'>,
  shape: RelationShape,
  condition: string,
  adds: readonly AddFile[],
): Promise<readonly AddFile[]> {
  if (adds.length === 0) return []
  const commit = { version: 0, protocol: undefined, metaData: undefined, commitInfo: undefined }
  const folded = foldCommits([{ ...commit, adds, removes: [], cdc: [], txns: [], domains: [] }], [])
  const relation = await FilesRelation.create(database, `winner_${++relations}`, shape)
  try {
    await applyFolded(database, relation, folded, true)
    const rows = await database.rows<{ path: string }>(`SELECT path FROM ${ident(relation.name)} WHERE ${condition}`)
    const selected = new Set(rows.map(({ path }) => path))
    return adds.filter(({ path }) => selected.has(path))
  } finally {
    await relation.drop()
  }
}
