import { openStore } from '../storage/open.js'
import { type ProbeReport, probeStore } from '../storage/probe.js'
import type { LakehouseOptions } from './options.js'

export interface CheckStoreOptions extends Pick<LakehouseOptions, 's3' | 'clock' | 'random'> {
  /** Race with large objects, which finds faults that small ones miss and writes some 50 MB. @defaultValue true */
  readonly thorough?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

const SHORT_RACE = { bytes: 100, rounds: 10 }

/**
 * Is this store safe to commit to? Tries conditional puts one after the other, and racing, on scratch objects that it
 * deletes again.
 */
export async function checkStore(uri: string, options: CheckStoreOptions = {}): Promise<ProbeReport> {
  const store = openStore(uri, options)
  try {
    const race = (options.thorough ?? true) ? {} : SHORT_RACE
    return await probeStore(store, {
      racing: true,
      ...race,
      clock: options.clock,
      random: options.random,
      signal: options.signal,
    })
  } finally {
    await store.close()
  }
}
