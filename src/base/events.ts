/** What the library has to say beside its results. It never prints; shells turn events into log lines. */
export type DeltaicEvent =
  | {
      readonly type: 'committed'
      readonly table: string
      readonly version: number
      readonly operation: string
      readonly attempts: number
      /** From when the commit was asked for until it was durable, lost races included. */
      readonly elapsedMs: number
    }
  | { readonly type: 'checkpointed'; readonly table: string; readonly version: number; readonly elapsedMs: number }
  | {
      readonly type: 'optimized'
      readonly table: string
      readonly version: number
      readonly filesAdded: number
      readonly filesRemoved: number
    }
  /** Work that is allowed to fail did: the answer is right all the same, the reason is worth a look. */
  | { readonly type: 'degraded'; readonly table: string; readonly what: string; readonly error: unknown }

export type EventSink = (event: DeltaicEvent) => void

export const ignoreEvents: EventSink = () => {}
