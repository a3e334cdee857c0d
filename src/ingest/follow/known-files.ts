import type { SourcePlace } from '../row-sink.js'
import { appIdOf, type FileId, fileId, hashOf, parseAppId } from './file-id.js'
import type { FoundFile } from './found-file.js'

/** A file of which rows are in a table, and how far. */
export interface KnownFile {
  readonly id: FileId
  readonly place: SourcePlace
}

/** The growing files of which rows are in a table. */
export class KnownFiles {
  private readonly places: ReadonlyMap<string, SourcePlace>
  /** By how many first bytes count, and their hash. */
  private readonly byStart = new Map<number, Map<string, FileId[]>>()

  /** @param places may go on; `add` tells of new files in it. */
  constructor(places: ReadonlyMap<string, SourcePlace>) {
    this.places = places
    for (const appId of places.keys()) {
      const id = parseAppId(appId)
      if (id) this.add(id)
    }
  }

  add(id: FileId): void {
    const ofLength = this.byStart.get(id.prefixBytes) ?? new Map<string, FileId[]>()
    this.byStart.set(id.prefixBytes, ofLength)
    const before = ofLength.get(id.prefixHash)
    if (before) before.push(id)
    else ofLength.set(id.prefixHash, [id])
  }

  /** Those that begin like a file: the longest beginning first, the newest generation first. */
  alike(start: Uint8Array): readonly KnownFile[] {
    return [...this.byStart]
      .filter(([length]) => length <= start.length)
      .flatMap(([length, ofLength]) => ofLength.get(hashOf(start.subarray(0, length))) ?? [])
      .sort((a, b) => b.prefixBytes - a.prefixBytes || b.generation - a.generation)
      .flatMap((id) => {
        const place = this.places.get(appIdOf(id))
        return place ? [{ id, place }] : []
      })
  }

  /** The id of a file whose first rows are taken now. */
  newId(file: FoundFile, text: Uint8Array): FileId {
    for (let generation = 0; ; generation++) {
      const id = fileId(file.key, text, generation)
      if (!this.places.has(appIdOf(id))) return id
    }
  }
}

/** Who a file turned out to be: one of which rows are in the table, another, or a copy of one that is still there itself. */
export type Recognised =
  | { readonly kind: 'known'; readonly file: KnownFile }
  | { readonly kind: 'new' }
  | { readonly kind: 'copy' }

/**
 * Pure.
 *
 * @param alike the known files that begin as it does.
 * @param isRotated whether its name is what rotation makes of the name of a file beside it.
 * @param isThere whether the file of an id is there itself.
 */
export function recognise(
  key: string,
  textBytes: number,
  alike: readonly KnownFile[],
  isRotated: boolean,
  isThere: (id: FileId) => boolean,
): Recognised {
  const own = alike.find(({ id }) => id.inode === key)
  // Shorter than what was read of it: it was cut, and begins anew as it did before.
  if (own) return own.place.version > textBytes ? { kind: 'new' } : { kind: 'known', file: own }
  const [original] = isRotated ? alike : []
  if (!original) return { kind: 'new' }
  return isThere(original.id) ? { kind: 'copy' } : { kind: 'known', file: original }
}
