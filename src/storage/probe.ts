import { type Clock, systemClock } from '../base/clock.js'
import { assert, DeltaError } from '../base/errors.js'
import { type Random, systemRandom } from '../base/random.js'
import type { ObjectStore } from './store.js'

/** The folder below the probed store's root that holds the scratch objects while a probe runs. */
export const PROBE_FOLDER = '_deltaic_probe'

export interface ProbeOptions {
  /** Whether creators race too. A server that looks before the body and writes after it is right one request at a time. */
  readonly racing: boolean
  /** How many creators race for one name. @defaultValue 8 */
  readonly putters?: number | undefined
  /** The length of each one's object. The longer it is, the sooner a fault shows. @defaultValue 2,000,000 */
  readonly bytes?: number | undefined
  /** How many races are run, unless one shows a fault. @defaultValue 3 */
  readonly rounds?: number | undefined
  readonly clock?: Clock | undefined
  readonly random?: Random | undefined
  readonly signal?: AbortSignal | undefined
}

export interface ProbeRound {
  readonly putters: number
  readonly bytes: number
  /** How many creators won; anything but 1 loses commits. */
  readonly winners: number
}

export interface ProbeReport {
  /** `false` is a proof that the store loses commits; `true` is as good as the rounds were many and long. */
  readonly safe: boolean
  /** Whether a second creator was refused and left the first one's bytes alone. */
  readonly sequential: 'ok' | 'ignored'
  readonly rounds: readonly ProbeRound[]
  readonly elapsedMs: number
}

/**
 * Finds out whether the store's conditional puts can be trusted with commits. It creates scratch objects and deletes them.
 *
 * @throws {DeltaError} `STORE_UNAVAILABLE` or `STORE_DENIED` when the store does not let itself be asked
 */
export async function probeStore(store: ObjectStore, options: ProbeOptions): Promise<ProbeReport> {
  const { racing, putters = 8, bytes = 2_000_000, clock = systemClock, random = systemRandom, signal } = options
  assert(putters >= 2 && bytes >= 64, 'a race needs two putters, and bodies that tell them apart')
  const startedAt = clock.now()
  const scratch = () => `${PROBE_FOLDER}/${random.uuid()}`
  const sequential = await putTwice(store, scratch(), signal)
  const rounds: ProbeRound[] = []
  const wanted = racing && sequential === 'ok' ? (options.rounds ?? 3) : 0
  while (rounds.length < wanted && rounds.every(hasOneWinner)) {
    rounds.push({ putters, bytes, winners: await race(store, scratch(), putters, bytes, signal) })
  }
  return { safe: sequential === 'ok' && rounds.every(hasOneWinner), sequential, rounds, elapsedMs: clock.now() - startedAt }
}

function hasOneWinner(round: ProbeRound): boolean {
  return round.winners === 1
}

async function putTwice(store: ObjectStore, path: string, signal: AbortSignal | undefined): Promise<'ok' | 'ignored'> {
  return await withScratch(store, path, signal, async () => {
    const first = await store.putIfAbsent(path, bodyOf(0, 100), { signal })
    const second = await store.putIfAbsent(path, bodyOf(1, 100), { signal })
    const kept = await store.get(path, { signal })
    const isKept = kept !== undefined && Buffer.compare(kept, bodyOf(0, 100)) === 0
    return first === 'created' && second === 'exists' && isKept ? 'ok' : 'ignored'
  })
}

/**
 * How many of `putters` racing creators won: all that were told so, and the one whose bytes are there. A put without an
 * answer has thus won when the object is its own, and not when it is another's.
 */
async function race(
  store: ObjectStore,
  path: string,
  putters: number,
  bytes: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  return await withScratch(store, path, signal, async () => {
    const bodies = Array.from({ length: putters }, (_, putter) => bodyOf(putter, bytes))
    const outcomes = await Promise.allSettled(bodies.map(async (body) => await store.putIfAbsent(path, body, { signal })))
    const winners = new Set<number>()
    for (const [putter, outcome] of outcomes.entries()) {
      if (outcome.status === 'rejected' && !isDoubtful(outcome.reason)) throw outcome.reason
      if (outcome.status === 'fulfilled' && outcome.value === 'created') winners.add(putter)
    }
    const kept = await store.get(path, { signal })
    if (!kept && winners.size === 0) {
      const failed = outcomes.find((outcome) => outcome.status === 'rejected')
      throw new DeltaError(
        'STORE_UNAVAILABLE',
        'the store answered none of the racing puts',
        { path, putters },
        { cause: failed?.reason },
      )
    }
    // A body of nobody (none, or torn) counts as a winner of its own: whoever was told `created` has lost the object.
    winners.add(kept ? bodies.findIndex((body) => Buffer.compare(body, kept) === 0) : -1)
    return winners.size
  })
}

async function withScratch<T>(
  store: ObjectStore,
  path: string,
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  try {
    const result = await work()
    await store.delete([path], { signal })
    return result
  } catch (error) {
    // The failure is the news; a scratch object that a failing store also refuses to delete is not.
    if (!signal?.aborted) await store.delete([path], { signal }).catch(() => undefined)
    throw error
  }
}

function isDoubtful(reason: unknown): boolean {
  return reason instanceof DeltaError && reason.code === 'STORE_UNAVAILABLE'
}

function bodyOf(putter: number, bytes: number): Uint8Array {
  return Buffer.from(`putter ${putter}`.padEnd(bytes, '.'))
}
