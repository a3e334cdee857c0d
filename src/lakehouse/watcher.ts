import type { IndexedRow } from './view-index.js'

/** One who waits for rows of a key. Of rows that come while he does not ask, he gets the newest. */
export class Watcher {
  private newest: IndexedRow | undefined
  private ended = false
  private failure: { readonly error: unknown } | undefined
  private wake = () => {}

  offer(row: IndexedRow): void {
    this.newest = row
    this.wake()
  }

  /** Whoever waits is told that there is no more. */
  end(): void {
    this.ended = true
    this.wake()
  }

  /** Whoever waits is told why there is no more. */
  fail(error: unknown): void {
    this.failure = { error }
    this.wake()
  }

  /** The newest row that was not given yet, once there is one; `undefined` at the end. */
  async next(): Promise<IndexedRow | undefined> {
    for (;;) {
      if (this.ended) return undefined
      if (this.failure) throw this.failure.error
      const row = this.newest
      this.newest = undefined
      if (row) return row
      await new Promise<void>((resolve) => {
        this.wake = resolve
      })
    }
  }
}
