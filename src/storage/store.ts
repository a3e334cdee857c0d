import type { StoreMeter } from './meter.js'

/** A stored object, as a listing or a head request tells it. */
export interface ObjectInfo {
  /** Relative to the store's root, `/` between segments, never percent-encoded. */
  readonly path: string
  readonly sizeBytes: number
  /** Milliseconds since 1970-01-01 UTC, as the store says. */
  readonly modifiedAtMs: number
}

export interface ByteRange {
  readonly start: number
  readonly endExclusive: number
}

/**
 * One object, whatever comes to lie under its path: its first answer sets the tag, and an answer of another object is refused
 * with `DATA_FILE_DAMAGED`.
 */
export interface ObjectTag {
  etag?: string | undefined
}

export interface GetOptions extends StoreOptions {
  readonly range?: ByteRange | undefined
  /** What earlier ranges were of. */
  readonly tag?: ObjectTag | undefined
}

export interface StoreOptions {
  readonly signal?: AbortSignal | undefined
}

export interface ListOptions extends StoreOptions {
  readonly startAfter?: string | undefined
  /** Whether links are listed as what they lead to, on disk. @defaultValue true */
  readonly followLinks?: boolean | undefined
}

export interface PutOptions extends StoreOptions {
  /**
   * Whether the folder of the object has to be there: who comes late then brings nothing of a folder back that was moved or
   * removed, and gets `FILE_NOT_FOUND`. Only disks have folders of their own; other stores pass over it.
   *
   * @defaultValue false
   */
  readonly folderMustExist?: boolean | undefined
}

export interface CreateOptions extends PutOptions {
  /**
   * Whether the object outlives a power cut. Without it the store need not wait for its disk: a power cut may lose the object
   * or cut it short. Readers, and a process that is killed, leave and find it whole or not at all, as ever.
   *
   * @defaultValue true
   */
  readonly durable?: boolean | undefined
  /**
   * What must have happened before the object may show. When it rejects the call rejects with that, and nothing is created. A
   * store that has to prepare the object does so meanwhile.
   */
  readonly after?: Promise<unknown> | undefined
}

/** An object of a store. */
export interface StorePlace {
  readonly store: ObjectStore
  readonly path: string
}

/** What the settings of a store lead to beside its own folder. */
export interface Elsewhere {
  /** Where a URI leads, which is not percent-encoded; `undefined` for one that names no object of a store. */
  place(uri: string): StorePlace | undefined
  close(): Promise<void>
}

/**
 * The port to where tables live. Everything above it is the same on disk, on S3 and in memory.
 *
 * Promises: an object is there whole or not at all; once written it is durable and shows in the next `get` and `list`;
 * of any number of racing `putIfAbsent` calls on one path exactly one answers `created`.
 *
 * Paths are relative, `/`-separated and not percent-encoded. A path that would leave the root (`..`, a leading `/`,
 * an empty segment) is refused with `ARGUMENT_INVALID`.
 *
 * Every method rejects with `STORE_UNAVAILABLE` when the store does not answer (the work may have happened), with
 * `STORE_DENIED` when it refuses access, and with the signal's own reason after an abort.
 */
export interface ObjectStore {
  /** `file:///folder`, `s3://bucket/prefix` or `memory:name`; no trailing slash. */
  readonly uri: string

  /** Counts requests, where objects are asked for over a network; of a child, its own. */
  readonly meter?: StoreMeter | undefined

  /** Other places that the same settings lead to; absent where they lead to none. */
  readonly elsewhere?: Elsewhere | undefined

  /**
   * The object's bytes, or `undefined` when it is not there. With a range, the bytes of that range that exist
   * (fewer when the object is shorter, none when the range starts at or after its end).
   */
  get(path: string, options?: GetOptions): Promise<Uint8Array | undefined>

  head(path: string, options?: StoreOptions): Promise<ObjectInfo | undefined>

  /**
   * Creates the object unless the path is taken. A rejected call leaves open whether it was created: who must know
   * reads it back.
   */
  putIfAbsent(path: string, bytes: Uint8Array, options?: CreateOptions): Promise<'created' | 'exists'>

  /** Creates or replaces. */
  put(path: string, bytes: Uint8Array, options?: PutOptions): Promise<void>

  /** Creates or replaces from a file of this machine, in bounded memory. The file may be moved away by it. */
  putFile(path: string, localFile: string, options?: PutOptions): Promise<void>

  /**
   * The objects below the folder `prefix` (`''` is the root), at every depth. `startAfter` is a name inside that
   * folder: only objects whose path is greater are given. Inside one folder objects come in UTF-8 byte order of
   * their names; nothing is said of the order across folders.
   */
  list(prefix: string, options?: ListOptions): AsyncIterable<ObjectInfo>

  /** The names of the folders directly below the folder `prefix`, sorted; a folder is what holds an object at any depth. */
  listFolders(prefix: string, options?: StoreOptions): Promise<readonly string[]>

  /** Deletes objects; those that are not there are passed over. */
  delete(paths: readonly string[], options?: StoreOptions): Promise<void>

  /**
   * Removes folders that hold nothing, in the order given; others stay. Only disks have folders of their own.
   *
   * @returns how many were removed.
   */
  removeEmptyFolders(paths: readonly string[], options?: StoreOptions): Promise<number>

  /**
   * Gives the folder `from` the name `to`, with all that is in it, in one action that every reader and writer sees whole. Only
   * stores that have such an action have this method.
   *
   * @returns false when something has that name already.
   */
  moveFolder?(from: string, to: string, options?: StoreOptions): Promise<boolean>

  /** Where the object is as a file of this machine; `undefined` on stores that are not a disk. */
  localPath(path: string): string | undefined

  /** The same store with its root at the folder `prefix`. */
  child(prefix: string): ObjectStore

  /** Checks that conditional puts can be trusted before the first commit; see `probeStore`. Cheap after the first time. */
  ensureSafe(options?: StoreOptions): Promise<void>

  close(): Promise<void>
}
