import type { AddFile } from '../protocol/actions.js'

/** Copies of one add share what is known of its file. */
const fresh = new WeakMap<AddFile, { isFresh: boolean }>()

/** Remembers that a file was staged here, under a name that only it has ever had, and is in no version yet. */
export function markFresh(add: AddFile): AddFile {
  fresh.set(add, { isFresh: true })
  return add
}

/** The same file with more said about it. */
export function withMore(add: AddFile, more: Partial<AddFile>): AddFile {
  const copy = { ...add, ...more }
  const known = fresh.get(add)
  if (known) fresh.set(copy, known)
  return copy
}

/** Whether a file that was just committed had never been in the table before. Answers once: from now on it has been. */
export function wasFresh(add: AddFile): boolean {
  const known = fresh.get(add)
  const answer = known?.isFresh === true
  if (known) known.isFresh = false
  return answer
}
