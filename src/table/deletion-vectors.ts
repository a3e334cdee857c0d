import { crc32 } from 'node:zlib'
import { DeltaError } from '../base/errors.js'
import { Gate } from '../engine/range-cache-gate.js'
import { IntervalSet, planRequests } from '../engine/range-cache-intervals.js'
import { type RowList, rowsParquet } from '../engine/rows-parquet.js'
import type { Spool } from '../engine/spool.js'
import { type DeletionVectorDescriptor, deletionVectorId } from '../protocol/actions.js'
import { damaged, FRAME_BYTES, locateDeletionVector, unframe, VECTOR_FILE_VERSION } from '../protocol/deletion-vector.js'
import { canonicalFilePath, rootSpellings } from '../protocol/file-path.js'
import { RowBitmap } from '../protocol/row-bitmap.js'
import type { ByteRange, ObjectStore, StoreOptions } from '../storage/store.js'
import { isOutside, placeOf } from './file-place.js'

/** The deleted rows of a data file, ascending, for as long as they are held. */
export interface HeldRows extends RowList {
  release(): void
}

/** Vectors in one file of this machine: to open a file takes longer than to read a small vector out of it. */
interface Pack {
  readonly path: string
  readonly keys: readonly string[]
  sizeBytes: number
  holds: number
}

interface CachedRows {
  readonly pack: Pack
  readonly list: number
  readonly loaded: Promise<void>
}

const BYTES_MAX = 2 ** 30
const REQUESTS_MAX = 8
/** A pack is full at so many rows: whoever wants one vector of it reads them all. */
const PACK_ROWS = 32 * 1024
/** Writers pack vectors into files of some megabytes, so that neighbours come in one request. */
const GAP_BYTES_MAX = 64 * 1024
const NEVER = new AbortController().signal

/**
 * The deletion vectors of tables as row positions in local Parquet files, made once and shared by whoever reads the
 * files that they belong to. A vector never changes; beyond a number of bytes those go that nobody holds, those used
 * longest ago first.
 */
export class DeletionVectors {
  private readonly spool: Spool
  private readonly bytesMax: number
  /** By table and vector. */
  private readonly cached = new Map<string, CachedRows>()
  /** Those that are written, those used longest ago first. */
  private readonly packs = new Set<Pack>()
  private readonly gate = new Gate(REQUESTS_MAX)
  private lists = 0
  private bytes = 0

  constructor(spool: Spool, bytesMax = BYTES_MAX) {
    this.spool = spool
    this.bytesMax = bytesMax
  }

  /**
   * The deleted rows of some files of a table, in the order of their vectors.
   *
   * @throws {DeltaError} `DELETION_VECTOR_DAMAGED`, `DATA_FILE_MISSING`, `STORE_UNAVAILABLE`.
   */
  async open(
    store: ObjectStore,
    vectors: readonly DeletionVectorDescriptor[],
    options: StoreOptions = {},
  ): Promise<readonly HeldRows[]> {
    options.signal?.throwIfAborted()
    const keys = vectors.map((vector) => JSON.stringify([store.uri, deletionVectorId(vector)]))
    const missing = new Map(vectors.flatMap((vector, at) => (this.cached.has(keys[at] ?? '') ? [] : [[keys[at] ?? '', vector]])))
    this.begin([...missing.keys()], [...missing.values()], bitmapsOf(store, [...missing.values()], this.gate))
    const held = keys.map((key) => this.hold(key))
    try {
      await Promise.all(held.map(({ loaded }) => loaded))
      options.signal?.throwIfAborted()
    } catch (error) {
      for (const { pack } of held) this.release(pack)
      throw error
    }
    this.evict()
    return held.map(({ pack, list }) => {
      let isHeld = true
      return {
        path: pack.path,
        list,
        release: () => {
          if (isHeld) this.release(pack)
          isHeld = false
        },
      }
    })
  }

  private begin(
    keys: readonly string[],
    vectors: readonly DeletionVectorDescriptor[],
    loading: readonly Promise<RowBitmap>[],
  ): void {
    for (let from = 0, until = 0; from < keys.length; from = until) {
      for (let rows = 0; until < keys.length && (until === from || rows < PACK_ROWS); until++)
        rows += vectors[until]?.cardinality ?? 0
      const pack = { path: this.spool.file('parquet'), keys: keys.slice(from, until), sizeBytes: 0, holds: 0 }
      const lists = new Map(loading.slice(from, until).map((bitmap) => [this.lists++, bitmap]))
      const written = this.write(pack, lists)
      written.catch(() => {}) // Whoever waits for one of its vectors sees the failure.
      for (const [at, [list, bitmap]] of [...lists].entries()) {
        const [key, loaded] = [pack.keys[at] ?? '', bitmap.then(() => written)]
        this.cached.set(key, { pack, list, loaded })
        loaded.catch(() => this.cached.delete(key))
      }
    }
  }

  /** A vector that cannot be read is left out: the others are as good without it. */
  private async write(pack: Pack, loading: ReadonlyMap<number, Promise<RowBitmap>>): Promise<void> {
    const bitmaps: (readonly [number, RowBitmap])[] = []
    for (const [list, bitmap] of loading)
      await bitmap.then(
        (read) => bitmaps.push([list, read]),
        () => {},
      )
    try {
      const parquet = rowsParquet(new Map(bitmaps.map(([list, bitmap]) => [list, bitmap.rows()])))
      await this.spool.write(pack.path, parquet)
      pack.sizeBytes = parquet.length
      this.bytes += parquet.length
      this.packs.add(pack)
    } finally {
      for (const [, bitmap] of bitmaps) bitmap.dispose()
    }
  }

  private hold(key: string): CachedRows {
    const rows = this.cached.get(key) as CachedRows
    rows.pack.holds++
    return rows
  }

  private release(pack: Pack): void {
    pack.holds--
    if (this.packs.delete(pack)) this.packs.add(pack)
    this.evict()
  }

  private evict(): void {
    for (const pack of this.packs) {
      if (this.bytes <= this.bytesMax) return
      if (pack.holds > 0) continue
      this.packs.delete(pack)
      for (const key of pack.keys) if (this.cached.get(key)?.pack === pack) this.cached.delete(key)
      this.bytes -= pack.sizeBytes
      // What cannot be removed now goes with the spool.
      void this.spool.remove(pack.path).catch(() => undefined)
    }
  }
}

/** The rows of one vector. Dispose them. @throws {DeltaError} as `DeletionVectors.open`. */
export async function readDeletionVector(store: ObjectStore, vector: DeletionVectorDescriptor): Promise<RowBitmap> {
  return (await bitmapsOf(store, [vector], new Gate(1))[0]) as RowBitmap
}

/** Reads vectors, those of one file in as few requests as make sense. */
function bitmapsOf(store: ObjectStore, vectors: readonly DeletionVectorDescriptor[], gate: Gate): readonly Promise<RowBitmap>[] {
  const roots = rootSpellings(store.uri)
  const files = new Map<string, Promise<VectorFile>>()
  const wanted = new Map<string, ByteRange[]>()
  const places = vectors.map((vector) => {
    try {
      const place = locateDeletionVector(vector)
      if (place.kind === 'inline') return place
      const path = canonicalFilePath(place.path, roots)
      const range = { start: place.offset, endExclusive: place.offset + vector.sizeInBytes + FRAME_BYTES }
      wanted.set(path, [...(wanted.get(path) ?? []), range])
      return { kind: 'file' as const, path, range }
    } catch (error) {
      return { kind: 'nowhere' as const, error }
    }
  })
  for (const [path, ranges] of wanted)
    files.set(
      path,
      gate.run(async () => readRanges(store, path, ranges), NEVER),
    )
  return vectors.map(async (vector, at) => {
    const place = places[at]
    if (place?.kind === 'nowhere') throw place.error
    if (place?.kind === 'inline') return checked(RowBitmap.parse(place.bytes, 'the log'), vector, 'the log')
    const { path, range } = place as Extract<typeof place, { kind: 'file' }>
    const file = nameOf(store, path)
    const bytes = unframe((await files.get(path))?.bytes(range) ?? new Uint8Array(), vector, file, crc32)
    return checked(RowBitmap.parse(bytes, file), vector, file)
  })
}

function checked(bitmap: RowBitmap, vector: DeletionVectorDescriptor, file: string): RowBitmap {
  const { size } = bitmap
  if (size === vector.cardinality) return bitmap
  bitmap.dispose()
  throw damaged(file, `the vector deletes ${size} rows, and ${vector.cardinality} by the log`)
}

/** The parts of a file of vectors that were read. */
interface VectorFile {
  bytes(range: ByteRange): Uint8Array
}

async function readRanges(store: ObjectStore, path: string, ranges: readonly ByteRange[]): Promise<VectorFile> {
  // The version byte goes before the first vector, and is checked where that is wanted.
  const wanted = ranges.map((range) => (range.start === 1 ? { ...range, start: 0 } : range))
  const plan = { gapBytesMax: GAP_BYTES_MAX, requestBytesMax: Number.POSITIVE_INFINITY }
  const read: { readonly start: number; readonly bytes: Uint8Array }[] = []
  for (const range of planRequests(wanted, new IntervalSet(), plan)) {
    const bytes = await readRange(store, path, range)
    if (!bytes)
      throw new DeltaError(
        'DATA_FILE_MISSING',
        'a file of deletion vectors is gone',
        { file: nameOf(store, path) },
        { hint: 'it may have been vacuumed from under an old version: ask for a newer version, or restore the file' },
      )
    if (range.start === 0 && bytes[0] !== VECTOR_FILE_VERSION)
      throw damaged(nameOf(store, path), `it is of version ${bytes[0] ?? 'none'}`)
    read.push({ start: range.start, bytes })
  }
  return {
    bytes: ({ start, endExclusive }) => {
      const part = read.findLast((one) => one.start <= start)
      return part?.bytes.subarray(start - part.start, endExclusive - part.start) ?? new Uint8Array()
    },
  }
}

async function readRange(store: ObjectStore, path: string, range: ByteRange): Promise<Uint8Array | undefined> {
  const place = placeOf(store, path)
  return await place.store.get(place.path, { range })
}

function nameOf(store: ObjectStore, path: string): string {
  return isOutside(path) ? path : `${store.uri}/${path}`
}
