/** Bytes of text, for as long as the index is not changed. */
export type IndexedText = Uint8Array

const EMPTY = -1
const GONE = 0xffffffff
const FIELDS = 5
const [HASH, KEY_START, KEY_LENGTH, ROW_START, ROW_LENGTH] = [0, 1, 2, 3, 4] as const

/**
 * Texts by key, both as bytes: one block for the texts, five numbers an entry, and a table of open addresses that is at most
 * half full. Beyond the texts an entry takes 28 to 56 bytes. It holds less than 4 GiB of text.
 */
export class KeyIndex {
  private text = Buffer.allocUnsafe(64 * 1024)
  private textEnd = 0
  private entries = new Uint32Array(1024 * FIELDS)
  private slots = new Int32Array(2048).fill(EMPTY)
  private used = 0
  private live = 0
  private wasted = 0

  /** Keys that have a text. */
  get size(): number {
    return this.live
  }

  /** All that it holds, in bytes. */
  get bytes(): number {
    return this.text.byteLength + this.entries.byteLength + this.slots.byteLength
  }

  /** Bytes of texts that were replaced: they stay until the index is made anew. */
  get wastedBytes(): number {
    return this.wasted
  }

  get(key: Uint8Array): IndexedText | undefined {
    const entry = this.slots[this.slotOf(key, hashOf(key))] ?? EMPTY
    if (entry === EMPTY) return undefined
    const length = this.field(entry, ROW_LENGTH)
    if (length === GONE) return undefined
    const start = this.field(entry, ROW_START)
    return this.text.subarray(start, start + length)
  }

  set(key: Uint8Array, row: Uint8Array): void {
    const hash = hashOf(key)
    let slot = this.slotOf(key, hash)
    let entry = this.slots[slot] ?? EMPTY
    if (entry === EMPTY) {
      if ((this.used + 1) * 2 > this.slots.length) {
        this.grow()
        slot = this.slotOf(key, hash)
      }
      entry = this.used++
      this.slots[slot] = entry
      this.entries.set([hash, this.append(key), key.length, 0, GONE], entry * FIELDS)
    }
    const before = this.field(entry, ROW_LENGTH)
    if (before === GONE) this.live++
    else this.wasted += before
    const fits = before !== GONE && row.length <= before
    if (fits) this.text.set(row, this.field(entry, ROW_START))
    else this.entries[entry * FIELDS + ROW_START] = this.append(row)
    this.entries[entry * FIELDS + ROW_LENGTH] = row.length
  }

  delete(key: Uint8Array): void {
    const entry = this.slots[this.slotOf(key, hashOf(key))] ?? EMPTY
    if (entry === EMPTY) return
    const length = this.field(entry, ROW_LENGTH)
    if (length === GONE) return
    this.live--
    this.wasted += length
    this.entries[entry * FIELDS + ROW_LENGTH] = GONE
  }

  /** Where a key is, or the empty slot where it would be. */
  private slotOf(key: Uint8Array, hash: number): number {
    const mask = this.slots.length - 1
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const entry = this.slots[slot] ?? EMPTY
      if (entry === EMPTY || (this.field(entry, HASH) === hash && this.isKey(entry, key))) return slot
    }
  }

  private isKey(entry: number, key: Uint8Array): boolean {
    const start = this.field(entry, KEY_START)
    if (this.field(entry, KEY_LENGTH) !== key.length) return false
    for (let at = 0; at < key.length; at++) if (this.text[start + at] !== key[at]) return false
    return true
  }

  private field(entry: number, field: number): number {
    return this.entries[entry * FIELDS + field] ?? 0
  }

  private append(bytes: Uint8Array): number {
    const start = this.textEnd
    this.textEnd += bytes.length
    if (this.textEnd > this.text.length) {
      const larger = Buffer.allocUnsafe(Math.min(GONE, Math.max(this.textEnd, Math.ceil(this.text.length * 1.5))))
      larger.set(this.text.subarray(0, start))
      this.text = larger
    }
    this.text.set(bytes, start)
    return start
  }

  private grow(): void {
    const slots = new Int32Array(this.slots.length * 2).fill(EMPTY)
    const entries = new Uint32Array((slots.length / 2) * FIELDS)
    entries.set(this.entries)
    const mask = slots.length - 1
    for (let entry = 0; entry < this.used; entry++) {
      let slot = this.field(entry, HASH) & mask
      while (slots[slot] !== EMPTY) slot = (slot + 1) & mask
      slots[slot] = entry
    }
    this.slots = slots
    this.entries = entries
  }
}

/** FNV-1a with a last stir, so that neighbouring keys lie apart. */
function hashOf(key: Uint8Array): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < key.length; at++) hash = Math.imul(hash ^ (key[at] ?? 0), 0x01000193)
  hash ^= hash >>> 15
  hash = Math.imul(hash, 0x2c1b3c6d)
  return (hash ^ (hash >>> 13)) >>> 0
}
