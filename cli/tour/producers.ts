import type { PageViewBatch } from '../../data/page-views.js'
import type { Client } from './client.js'
import type { Ledger } from './ledger.js'
import { TOUR_TABLE } from './question.js'

/** A batch as one producer sent it. */
export interface Sent {
  readonly producer: string
  readonly sequence: number
  readonly batch: PageViewBatch
  readonly version: number
}

/** Producers that stream side by side, each its next batch as soon as its last one is acknowledged. */
export interface Streaming {
  /** Settles with the last ack; rejects when a batch was refused. */
  readonly done: Promise<void>
  readonly isDone: boolean
  /** The batch that was acknowledged last. */
  readonly last: Sent | undefined
  /** How often a producer was asked to wait. */
  readonly waits: number
  /** Resolves once every batch that is on its way now has been acknowledged. */
  settleInFlight(): Promise<void>
}

export function startStreaming(client: Client, batches: Iterator<PageViewBatch>, producers: number, ledger: Ledger): Streaming {
  const inFlight = new Set<Promise<unknown>>()
  let last: Sent | undefined
  let waits = 0
  let isDone = false

  const send = async (producer: string, sequence: number, batch: PageViewBatch): Promise<void> => {
    const ack = await client.post(TOUR_TABLE, batch.ndjson, producer, sequence)
    ledger.record(ack.version, batch.perUrl)
    last = { producer, sequence, batch, version: ack.version }
    waits += ack.waits
  }
  const produce = async (producer: string): Promise<void> => {
    for (let sequence = 1; ; sequence++) {
      const next = batches.next()
      if (next.done === true) return
      const sending = send(producer, sequence, next.value)
      inFlight.add(sending)
      await sending.finally(() => inFlight.delete(sending))
    }
  }

  const all = Promise.all(Array.from({ length: producers }, (_, index) => produce(`collector-${index + 1}`)))
  const done = all.then(
    () => {
      isDone = true
    },
    (error: unknown) => {
      isDone = true
      throw error
    },
  )
  return {
    done,
    get isDone() {
      return isDone
    },
    get last() {
      return last
    },
    get waits() {
      return waits
    },
    settleInFlight: async () => {
      await Promise.allSettled(inFlight)
    },
  }
}
