import { DeltaError } from '../base/errors.js'
import { probeStore } from '../storage/probe.js'
import type { ObjectStore, StoreOptions } from '../storage/store.js'

/**
 * Proves a new lakehouse on S3 safe to commit to, before its first table: racing putters with large objects, which find
 * stores that the short probe before every process's first commit passes. It writes some 50 MB once in a root's life.
 *
 * @throws {DeltaError} `STORE_UNSAFE`.
 */
export async function checkNewRoot(
  store: ObjectStore,
  hasTables: () => Promise<boolean>,
  options: StoreOptions = {},
): Promise<void> {
  await store.ensureSafe(options)
  if (!store.uri.startsWith('s3:') || (await hasTables())) return
  const { safe } = await probeStore(store, { racing: true, signal: options.signal })
  const hint =
    'this server lets several writers create one object, so commits get lost: use another; `deltaic check-store` shows the probe'
  if (!safe) throw new DeltaError('STORE_UNSAFE', 'the store does not keep conditional puts', { uri: store.uri }, { hint })
}
