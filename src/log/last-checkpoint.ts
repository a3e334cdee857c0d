import { createHash } from 'node:crypto'
import { canonicalJson } from '../protocol/json-canonical.js'
import { LAST_CHECKPOINT_PATH } from '../protocol/log-path.js'
import type { ObjectStore, StoreOptions } from '../storage/store.js'

/** CRC-32 of checkpoint files, in hexadecimal, by their name in the log. */
export type FileSums = Readonly<Record<string, string>>

export const NO_SUMS: FileSums = {}

/** What `_last_checkpoint` tells. */
export interface CheckpointHint {
  readonly version: number
  /** Of the newest checkpoints of ours: Parquet has no sums of its own, so nothing else would tell a flipped bit. */
  readonly sums: FileSums
}

/** The tag under which sums are kept, in `_last_checkpoint` and with each sidecar. */
export const SUM_TAG = 'deltaic.crc32'
const SUMS_MAX = 32

/** It is a hint: absent, damaged or with a wrong checksum, it is no hint at all. */
export async function readLastCheckpoint(store: ObjectStore, options: StoreOptions = {}): Promise<CheckpointHint | undefined> {
  const found = await readHint(store, options)
  return found && { version: found.hint.version, sums: found.sums }
}

async function readHint(store: ObjectStore, options: StoreOptions = {}) {
  const bytes = await store.get(LAST_CHECKPOINT_PATH, options)
  if (!bytes) return undefined
  try {
    const hint = JSON.parse(Buffer.from(bytes).toString('utf8')) as {
      readonly version: number
      readonly checksum?: unknown
      readonly tags?: Readonly<Record<string, unknown>>
    }
    const isSummed = typeof hint.checksum === 'string'
    if (isSummed && hint.checksum !== checksumOf(hint)) return undefined
    if (!Number.isSafeInteger(hint.version) || hint.version < 0) return undefined
    // A sum that nothing vouches for would condemn a checkpoint that is whole.
    const sums = isSummed ? hint.tags?.[SUM_TAG] : undefined
    return { hint, sums: typeof sums === 'string' ? (JSON.parse(sums) as FileSums) : NO_SUMS }
  } catch {
    return undefined
  }
}

/** @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#json-checksum */
export function checksumOf(hint: object): string {
  return createHash('md5').update(canonicalJson(hint)).digest('hex')
}

/** What `_last_checkpoint` says. @see PROTOCOL.md#last-checkpoint-file */
export interface LastCheckpoint {
  readonly version: number
  /** Actions, those in sidecars among them. */
  readonly size: number
  readonly sizeInBytes: number
  readonly numOfAddFiles?: number
  readonly v2Checkpoint?: {
    readonly path: string
    readonly sizeInBytes: number
    readonly modificationTime: number
    readonly nonFileActions?: readonly object[]
    readonly sidecarFiles?: readonly object[]
  }
}

/** Points to a checkpoint, unless a later one is pointed to, and keeps the sums of its files beside those of earlier ones. */
export async function pointToCheckpoint(store: ObjectStore, pointer: LastCheckpoint, sums: FileSums): Promise<void> {
  await changeHint(store, (before, known) => {
    const isLater = before !== undefined && before.version > pointer.version
    return { hint: isLater ? before : pointer, sums: { ...known, ...sums } }
  })
}

/** Forgets the sum of a checkpoint that is about to be written anew: a crash in between would leave the old one's. */
export async function forgetSum(store: ObjectStore, name: string): Promise<void> {
  await changeHint(store, (hint, { [name]: sum, ...sums }) => (hint && sum !== undefined ? { hint, sums } : undefined))
}

interface Hint {
  readonly version: number
  readonly tags?: object
}

async function changeHint(
  store: ObjectStore,
  change: (hint: Hint | undefined, sums: FileSums) => { readonly hint: Hint; readonly sums: FileSums } | undefined,
): Promise<void> {
  const found = await readHint(store)
  const changed = change(found?.hint, found?.sums ?? NO_SUMS)
  if (!changed) return
  const newest = Object.entries(changed.sums)
    .sort(([a], [b]) => (a < b ? 1 : -1))
    .slice(0, SUMS_MAX)
  const tags = { ...changed.hint.tags, [SUM_TAG]: JSON.stringify(Object.fromEntries(newest)) }
  // What is left out of JSON has no part in the checksum.
  const { checksum: _, ...plain } = JSON.parse(JSON.stringify({ ...changed.hint, tags })) as { readonly checksum?: string }
  const body = Buffer.from(JSON.stringify({ ...plain, checksum: checksumOf(plain) }))
  await store.put(LAST_CHECKPOINT_PATH, body, { folderMustExist: true })
}
