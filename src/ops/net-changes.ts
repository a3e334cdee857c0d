import { type AddFile, deletionVectorId, type RemoveFile } from '../protocol/actions.js'
import type { Commit } from '../protocol/commit-file.js'
import { canonicalFilePath } from '../protocol/file-path.js'
import type { SnapshotFile } from '../table/snapshot.js'

/** Rows of one data file that came into a table or left it. */
export interface NetFile {
  /** Decoded, relative to the table; absolute for a file outside of it. */
  readonly file: string
  /** As the log told of the file last. */
  readonly action: AddFile | RemoveFile
  /** Rows that do not count. */
  readonly deletionVector: SnapshotFile['deletionVector']
  /** Lists the only rows that count, where not all do. */
  readonly onlyVector: SnapshotFile['deletionVector']
}

/** What commits change in all, as rows that come and rows that leave: a row may be among both. */
export interface NetChanges {
  readonly plus: readonly NetFile[]
  readonly minus: readonly NetFile[]
}

type Vector = SnapshotFile['deletionVector']

/** How often the rows of a file, but for those of a vector, come; less than 0 when they leave. */
interface Term {
  readonly action: AddFile | RemoveFile
  readonly vector: Vector
  times: number
}

/**
 * What a run of commits changes. Pure.
 *
 * Each added file stands for its rows, each removed one for their negative, and equal ones cancel out: a file that came
 * and went is not read, nor is what OPTIMIZE moves. Where a file's deletion vector was swapped, those rows are left that
 * one vector lists and the other does not.
 *
 * @param commits in the order of the log.
 */
export function netChanges(commits: Iterable<Commit>, roots: readonly string[]): NetChanges {
  const files = new Map<string, Map<string, Term>>()
  const count = (action: AddFile | RemoveFile, times: number) => {
    if (!action.dataChange) return
    const file = canonicalFilePath(action.path, roots)
    const terms = files.get(file) ?? new Map<string, Term>()
    files.set(file, terms)
    const vector = action.deletionVector ?? undefined
    const id = deletionVectorId(vector) ?? ''
    const term = terms.get(id)
    if (term) term.times += times
    else terms.set(id, { action, vector, times })
  }
  for (const { adds, removes } of commits) {
    for (const add of adds) count(add, 1)
    for (const remove of removes) count(remove, -1)
  }
  const plus: NetFile[] = []
  const minus: NetFile[] = []
  for (const [file, terms] of files) {
    const left = [...terms.values()].flatMap((term) => Array.from({ length: Math.abs(term.times) }, () => term))
    const came = left.filter(({ times }) => times > 0)
    const went = left.filter(({ times }) => times < 0)
    const one = ({ action }: Term, deletionVector: Vector, onlyVector?: Vector): NetFile => ({
      file,
      action,
      deletionVector,
      onlyVector,
    })
    const swaps = Math.min(came.length, went.length)
    for (let at = 0; at < swaps; at++) {
      const [after, before] = [came[at] as Term, went[at] as Term]
      if (before.vector) plus.push(one(after, after.vector, before.vector))
      if (after.vector) minus.push(one(after, before.vector, after.vector))
    }
    for (const term of came.slice(swaps)) plus.push(one(term, term.vector))
    for (const term of went.slice(swaps)) minus.push(one(term, term.vector))
  }
  return { plus, minus }
}
