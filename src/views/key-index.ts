/** Bytes of text, for as long as the index is not changed. */
export type IndexedText = Uint8Array

const EMPTY = -1
const GONE = 0xffffffff
const FIELDS = 6
const [HASH, KEY_START, KEY_LENGTH, ROW_START, ROW_LENGTH, STATE_LENGTH] = [0, 1, 2, 3, 4, 5] as const
/** Rows grow by a digit now and then: they get room in steps. */
const STEP = 16

/**
 * Rows by key, and states that they are made from, all of it texts as bytes: one block for the texts, six numbers an entry, and a
 * table of open addresses that is at most half full. Beyond the texts an entry takes 32 to 64 bytes, and room to grow in. It holds
 * less than 4 GiB of text.
 */
export class KeyIndex {
  private text = Buffer.allocUnsafe(64 * 1024)
  private textEnd = 0
  private entries = new Uint32Array(1024 * FIELDS)
  private slots = new Int32Array(2048).fill(EMPTY)
  private used = 0
  private live = 0
  private wasted = 0

  /** Keys that have a row. */
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

  /** Whether a key was ever set, whatever became of it. */
  has(key: Uint8Array): boolean {
    return this.entryOf(key) !== EMPTY
  }

  get(key: Uint8Array): IndexedText | undefined {
    const entry = this.entryOf(key)
    if (entry === EMPTY) return undefined
    const length = this.field(entry, ROW_LENGTH)
    if (length === GONE) return undefined
    const start = this.field(entry, ROW_START)
    return this.text.subarray(start, start + length)
  }

  /** What a key's row was made from; empty for a key that is not there. */
  state(key: Uint8Array): IndexedText {
    const entry = this.entryOf(key)
    if (entry === EMPTY) return NO_TEXT
    const start = this.field(entry, ROW_START) + this.rowLength(entry)
    return this.text.subarray(start, start + this.field(entry, STATE_LENGTH))
  }

  /** @param row none for a key that only has a state. */
  set(key: Uint8Array, row: Uint8Array | undefined, state: Uint8Array = NO_TEXT): void {
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
      this.entries.set([hash, this.append(key, key.length), key.length, 0, GONE, 0], entry * FIELDS)
    }
    const had = this.field(entry, ROW_LENGTH) !== GONE
    const before = roomOf(this.rowLength(entry) + this.field(entry, STATE_LENGTH))
    const room = roomOf((row?.length ?? 0) + state.length)
    const start = room <= before ? this.field(entry, ROW_START) : this.append(NO_TEXT, room)
    this.wasted += room <= before ? before - room : before
    if (row) this.text.set(row, start)
    this.text.set(state, start + (row?.length ?? 0))
    this.entries.set([start, row ? row.length : GONE, state.length], entry * FIELDS + ROW_START)
    this.live += Number(row !== undefined) - Number(had)
  }

  delete(key: Uint8Array): void {
    const entry = this.entryOf(key)
    if (entry === EMPTY) return
    this.wasted += roomOf(this.rowLength(entry) + this.field(entry, STATE_LENGTH))
    if (this.field(entry, ROW_LENGTH) !== GONE) this.live--
    this.entries.set([0, GONE, 0], entry * FIELDS + ROW_START)
  }

  /** Puts what is there from an entry on into another index, at most `count` entries. @returns where to go on; `undefined` at the end. */
  copyTo(other: KeyIndex, from: number, count: number): number | undefined {
    const end = Math.min(this.used, from + count)
    for (let entry = from; entry < end; entry++) {
      const [keyStart, start] = [this.field(entry, KEY_START), this.field(entry, ROW_START)]
      const stateStart = start + this.rowLength(entry)
      const stateEnd = stateStart + this.field(entry, STATE_LENGTH)
      const hasRow = this.field(entry, ROW_LENGTH) !== GONE
      if (!hasRow && stateEnd === stateStart) continue
      const key = this.text.subarray(keyStart, keyStart + this.field(entry, KEY_LENGTH))
      const row = hasRow ? this.text.subarray(start, stateStart) : undefined
      other.set(key, row, this.text.subarray(stateStart, stateEnd))
    }
    return end < this.used ? end : undefined
  }

  private entryOf(key: Uint8Array): number {
    return this.slots[this.slotOf(key, hashOf(key))] ?? EMPTY
  }

  private rowLength(entry: number): number {
    const length = this.field(entry, ROW_LENGTH)
    return length === GONE ? 0 : length
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

  private append(bytes: Uint8Array, room: number): number {
    const start = this.textEnd
    this.textEnd += room
    if (this.textEnd > this.text.length) {
      const larger = Buffer.allocUnsafe(Math.min(GONE, Math.max(this.textEnd, Math.ceil(this.text.length * 1.25))))
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

const NO_TEXT = new Uint8Array()

function roomOf(length: number): number {
  return Math.ceil(length / STEP) * STEP
}

/** FNV-1a with a last stir, so that neighbouring keys lie apart. */
function hashOf(key: Uint8Array): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < key.length; at++) hash = Math.imul(hash ^ (key[at] ?? 0), 0x01000193)
  hash ^= hash >>> 15
  hash = Math.imul(hash, 0x2c1b3c6d)
  return (hash ^ (hash >>> 13)) >>> 0
}
