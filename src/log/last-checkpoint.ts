import { createHash } from 'node:crypto'
import { canonicalJson } from '../protocol/json-canonical.js'
import { LAST_CHECKPOINT_PATH } from '../protocol/log-path.js'
import type { ObjectStore, StoreOptions } from '../storage/store.js'

/** The version that `_last_checkpoint` points to. It is a hint: absent, damaged or with a wrong checksum, it is no hint at all. */
export async function readCheckpointHint(store: ObjectStore, options: StoreOptions = {}): Promise<number | undefined> {
  const bytes = await store.get(LAST_CHECKPOINT_PATH, options)
  if (!bytes) return undefined
  try {
    const hint = JSON.parse(Buffer.from(bytes).toString('utf8')) as { version?: unknown; checksum?: unknown }
    if (typeof hint.checksum === 'string' && hint.checksum !== checksumOf(hint)) return undefined
    const { version } = hint
    return typeof version === 'number' && Number.isSafeInteger(version) && version >= 0 ? version : undefined
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

/** Points to a checkpoint, unless a later one is pointed to. */
export async function pointToCheckpoint(store: ObjectStore, pointer: LastCheckpoint): Promise<void> {
  const pointed = await readCheckpointHint(store)
  if (pointed !== undefined && pointed > pointer.version) return
  // What is left out of JSON has no part in the checksum.
  const plain = JSON.parse(JSON.stringify(pointer)) as LastCheckpoint
  await store.put(LAST_CHECKPOINT_PATH, Buffer.from(JSON.stringify({ ...plain, checksum: checksumOf(plain) })))
}
