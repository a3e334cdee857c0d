import { type Clock, systemClock } from '../base/clock.js'
import { DeltaError, isDeltaError } from '../base/errors.js'
import { type Random, systemRandom } from '../base/random.js'
import { commitPath } from '../protocol/log-path.js'
import type { ObjectStore } from '../storage/store.js'

/** Losing the race is an answer: somebody else's entry stands at this version. */
export type CommitOutcome =
  | { readonly kind: 'committed'; readonly version: number }
  | { readonly kind: 'lost'; readonly version: number }

export interface CommitterOptions {
  readonly signal?: AbortSignal | undefined
  /** What must have happened before the entry may show, such as its files being stored; without it nothing is committed. */
  readonly after?: Promise<unknown> | undefined
  readonly clock?: Clock | undefined
  readonly random?: Random | undefined
  /** How often a put whose outcome is unknown is sent again. @defaultValue 4 */
  readonly attemptsMax?: number | undefined
}

/**
 * Publishes `body` as entry `version` of the log, exactly once.
 *
 * Any answer but "created" is settled by reading the entry back: the commit is ours exactly when the bytes are, which
 * is why every body carries a unique `txnId`. Where the store shows no entry the same put is sent again; a late arrival
 * of the first one then makes no difference, as only one of the two can create the entry.
 *
 * When what it comes after rejects, so does this, and nothing was put. An abort is honoured only before the first put: afterwards the outcome must be known.
 *
 * @throws {DeltaError} `TABLE_NOT_FOUND` when the log's folder is gone; `COMMIT_OUTCOME_UNKNOWN` when the store gave no answer and shows no entry, or cannot be read; the
 * write may still land.
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#atomic-commits
 */
export async function commitEntry(
  store: ObjectStore,
  version: number,
  body: Uint8Array,
  options: CommitterOptions = {},
): Promise<CommitOutcome> {
  options.signal?.throwIfAborted()
  const { clock = systemClock, random = systemRandom, attemptsMax = 4, after } = options
  const path = commitPath(version)
  let lastError: unknown
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    if (attempt > 0) await clock.sleep(2 ** attempt * 25 * (0.5 + random.next()))
    try {
      // Only the first entry makes a table's log: a later one never brings back what was renamed or dropped.
      const created = await store.putIfAbsent(path, body, { folderMustExist: version > 0, after })
      if (created === 'created') return { kind: 'committed', version }
    } catch (error) {
      // What the entry was to come after has failed: then it was never sent.
      await after
      if (isDeltaError(error) && error.code === 'FILE_NOT_FOUND') throw tableGone(store, version, error)
      if (!isDeltaError(error, 'unavailable') || error.code === 'STORE_DENIED') throw error
      lastError = error
    }
    const settled = await settle(store, path, body).catch((error: unknown) => {
      lastError = error
      return 'unknown' as const
    })
    if (settled === 'ours') return { kind: 'committed', version }
    if (settled === 'theirs') return { kind: 'lost', version }
  }
  throw new DeltaError(
    'COMMIT_OUTCOME_UNKNOWN',
    'the store gave no answer to a commit and shows no entry',
    { path },
    {
      cause: lastError,
      hint: 'the commit may still land: look at the table history before repeating it, or repeat it with a txn (producer and sequence)',
    },
  )
}

function tableGone(store: ObjectStore, version: number, cause: unknown): DeltaError {
  const hint = 'nothing was committed; SHOW TABLES lists the tables'
  return new DeltaError(
    'TABLE_NOT_FOUND',
    'the table was renamed or dropped meanwhile',
    { uri: store.uri, version },
    { hint, cause },
  )
}

async function settle(store: ObjectStore, path: string, body: Uint8Array): Promise<'ours' | 'theirs' | 'absent'> {
  const entry = await store.get(path)
  if (!entry) return 'absent'
  return Buffer.compare(entry, body) === 0 ? 'ours' : 'theirs'
}
