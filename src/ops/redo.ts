import { DeltaError } from '../base/errors.js'
import { globLiteral, ident } from '../engine/sql-text.js'
import type { Commit } from '../protocol/commit-file.js'
import { rootSpellings } from '../protocol/file-path.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { FileSource, SourceFile } from '../table/file-source.js'
import { withMore } from '../table/fresh-files.js'
import { scanSql } from '../table/scan-sql.js'
import type { Snapshot } from '../table/snapshot.js'
import { stageFiles } from '../table/stage.js'
import { type AddedRows, idsWithin } from './added-rows.js'
import { type BornRowsContext, bornRows } from './born-rows.js'
import { changesOf } from './changes.js'
import { keptRowIds } from './kept-row-ids.js'
import { digestFiles, hashSql, hashText, isSame, toDigest } from './row-digest.js'
import { UNDO, type UndoOutcome, type UndoSummary, type VersionRange } from './undo.js'
import { fileOf, missingFile, notTheSame } from './undo-proof.js'

export interface RedoRequest {
  /** What the undo took back. */
  readonly added: AddedRows
  readonly dryRun: boolean
  readonly signal?: AbortSignal | undefined
}

/** What an undo took back, by its own account; `undefined` for another commit, or for one that brought rows back. */
export function undoneBy({ commitInfo }: Commit): VersionRange | undefined {
  if (commitInfo?.operation !== UNDO) return undefined
  const [, from, to] = /^(\d+)\.\.(\d+)$/.exec(String(commitInfo.operationParameters?.['versions'] ?? '')) ?? []
  return from === undefined || to === undefined ? undefined : { from: Number(from), to: Number(to) }
}

/**
 * Takes back an undo: the rows that it took out come back as they were, with their ids, in one commit. Rows that are there
 * again already do not come twice.
 *
 * @returns a conflict when somebody else's commit came between: run it again on the newest version.
 * @throws {DeltaError} `DATA_FILE_MISSING` when the files that had the rows were vacuumed, `PROOF_FAILED`.
 */
export async function redoRows(
  table: DeltaTable,
  source: FileSource,
  snapshot: Snapshot,
  undo: Commit,
  { added, dryRun, signal }: RedoRequest,
): Promise<UndoOutcome> {
  const context = { table, source, snapshot, signal }
  const there = await bornRows(context, added, undefined)
  try {
    const kept = keptRowIds(snapshot)
    const { gone, copied } = filesOf(context, undo)
    const missing = await missingFile(context, [...gone, ...copied])
    if (missing !== undefined)
      throw new DeltaError(
        'DATA_FILE_MISSING',
        'a file with rows that an undo took out is gone',
        { file: missing, version: undo.version },
        { hint: 'it was vacuumed, most likely: these rows cannot come back' },
      )
    const held = await source.open(table.deps.store, [...gone, ...copied], snapshot, undefined, { signal })
    try {
      const scan = (files: typeof held.files) =>
        `SELECT * FROM (${scanSql(kept.shape, files)}) WHERE ${idsWithin('"__row_id"', added.ids)}`
      const others = [
        `SELECT "__row_id" FROM (${scan(held.files.slice(gone.length))})`,
        `SELECT "__id" FROM read_parquet(${globLiteral(there.path)})`,
      ]
      const rows = `SELECT * FROM (${scan(held.files.slice(0, gone.length))}) WHERE "__row_id" NOT IN (${others.join(' UNION ALL ')})`
      const fields = kept.shape.fields
      const wanted = toDigest(
        await table.deps.database.rows(`SELECT count(*) AS rows, sum(${hashSql(fields)}) AS sum FROM (${rows})`, { signal }),
      )
      const summary = { ...NOTHING, dryRun, versions: { from: undo.version, to: undo.version } }
      if (dryRun || wanted.rows === 0)
        return { ...summary, rowsRestored: wanted.rows, version: snapshot.version, attempts: 0, proof: undefined }
      const ids = kept.columns(true)
      const columns = fields.map((f) => ident(f.name))
      const staged = await table.deps.database.use((connection) =>
        stageFiles(table.deps, connection, `SELECT ${[...columns, ...ids].join(', ')} FROM (${rows})`, kept.target, {
          signal,
          given: kept.target.schema.fields.map((f) => f.name),
        }),
      )
      const back = await digestFiles(
        context,
        staged.adds.map((add) => fileOf(context, add)),
      )
      if (!isSame(back, wanted)) throw notTheSame(back, wanted)
      const transaction = await table.transaction(snapshot, { signal })
      const outcome = await transaction
        .add(staged.adds.map((add) => withMore(add, { dataChange: true })))
        .readWhole()
        .describe({
          name: UNDO,
          parameters: { restores: undo.version },
          metrics: { numAddedFiles: staged.adds.length, numAddedBytes: staged.bytes, numOutputRows: staged.rows },
          keepsRowIds: true,
        })
        .commit({ signal })
      if (outcome.kind === 'conflict') return outcome
      return {
        ...summary,
        rowsRestored: staged.rows,
        filesAdded: staged.adds.length,
        bytesAdded: staged.bytes,
        version: outcome.version,
        attempts: outcome.attempts,
        proof: {
          holds: true,
          rowsTaken: back.rows,
          hashTaken: hashText(back),
          rowsWritten: wanted.rows,
          hashWritten: hashText(wanted),
          missing: undefined,
          table: undefined,
        },
      }
    } finally {
      held.release()
    }
  } finally {
    await there.release()
  }
}

const NOTHING = {
  rowsAdded: undefined,
  rowsGone: undefined,
  rowsChanged: 0,
  rowsDeleted: 0,
  rowsUpdated: 0,
  changedBy: [],
  examples: [],
  files: [],
  filesAdded: 0,
  filesRemoved: 0,
  filesMarked: 0,
  bytesAdded: 0,
} as const satisfies Partial<UndoSummary>

/** The rows that a commit took out of files, and those that it wrote anew beside them. */
function filesOf(context: BornRowsContext, commit: Commit): { readonly gone: SourceFile[]; readonly copied: SourceFile[] } {
  const changes = changesOf({ ...commit, cdc: [] }, rootSpellings(context.table.uri))
  const files = (type: 'insert' | 'delete') =>
    changes
      .filter(({ changeType }) => changeType === type)
      .map(({ action, deletionVector, onlyVector }): SourceFile => {
        if (!('baseRowId' in action))
          throw new DeltaError('LOG_INCOMPLETE', 'a commit does not tell the row ids of a file', {
            file: action.path,
            version: commit.version,
          })
        return { ...fileOf(context, action), deletionVector, onlyVector }
      })
  return { gone: files('delete'), copied: files('insert') }
}
