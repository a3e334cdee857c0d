/** Runs pieces of work one after the other, in the order they were handed in. A failure is its own caller's alone. */
export class Serial {
  private tail: Promise<unknown> = Promise.resolve()

  run<T>(work: () => Promise<T>): Promise<T> {
    const result = this.tail.then(work, work)
    this.tail = result.catch(() => undefined)
    return result
  }
}
