import type { AddFile } from '../protocol/actions.js'

const fresh = new WeakSet<AddFile>()

/** Remembers that a file was staged here, under a name that only it has ever had, and is in no version yet. */
export function markFresh(add: AddFile): AddFile {
  fresh.add(add)
  return add
}

/** Whether a file that was just committed had never been in the table before. Answers once: from now on it has been. */
export function wasFresh(add: AddFile): boolean {
  return fresh.delete(add)
}
