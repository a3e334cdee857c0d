/** A file that is followed, as a look at its folder found it. */
export interface FoundFile {
  /** Relative to what is followed, `/` between segments. */
  readonly path: string
  /** What stays the same when it grows and when it is renamed: its inode on disk, its path and time elsewhere. */
  readonly key: string
  readonly sizeBytes: number
  /** When its bytes were last written, in milliseconds since 1970-01-01 UTC. */
  readonly writtenAtMs: number
  /** When it was last written or moved here, in milliseconds since 1970-01-01 UTC. */
  readonly changedAtMs: number
  /** Its name in a table's log, for what does not grow. */
  readonly appId?: string | undefined
  /** Whether more may be written to it: not to an object, and not to a file that is there no longer. */
  readonly mayGrow: boolean
}

/** Where files are followed. */
export interface FollowedFiles {
  readonly uri: string
  /** The one file that is followed, with what it was rotated into; all files without it. */
  readonly only?: string | undefined
  /** What is there now, each once. */
  look(nowMs: number): Promise<readonly FoundFile[]>
  /** Bytes of a file, fewer where it is shorter; `undefined` when it is gone. */
  read(file: FoundFile, start: number, endExclusive: number): Promise<Uint8Array | undefined>
  /** Lets go of a file whose end has been read. Answers true once it is known to be deleted: its key may come again for another. */
  finish(file: FoundFile): Promise<boolean>
  close(): Promise<void>
}
