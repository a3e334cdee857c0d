const LINE_FEED = 0x0a

/** Counts the lines of a text that comes in chunks, without reading them. */
export class LineMeter {
  private ended = 0
  private longest = 0
  private unendedBytes = 0

  add(chunk: Uint8Array): this {
    let start = 0
    for (let at = chunk.indexOf(LINE_FEED); at >= 0; at = chunk.indexOf(LINE_FEED, start)) {
      this.longest = Math.max(this.longest, this.unendedBytes + at - start)
      this.unendedBytes = 0
      this.ended++
      start = at + 1
    }
    this.unendedBytes += chunk.length - start
    return this
  }

  /** Blank lines too, and the last one also without its line feed. */
  get lines(): number {
    return this.unendedBytes === 0 ? this.ended : this.ended + 1
  }

  /** The bytes of the longest line. */
  get longestBytes(): number {
    return Math.max(this.longest, this.unendedBytes)
  }
}
