import type { Clock } from '../base/clock.js'
import type { EventSink } from '../base/events.js'
import { isRefreshDue, refreshPolicy } from './refresh-policy.js'
import type { RefreshResult } from './view-refresh.js'
import type { ViewDetail, ViewSummary } from './views.js'

const EVERY_MS = 5_000

interface Views {
  views(options?: { readonly signal?: AbortSignal | undefined }): Promise<readonly ViewSummary[]>
  describeView(name: string, options?: { readonly signal?: AbortSignal | undefined }): Promise<ViewDetail>
  refreshView(name: string, options?: { readonly signal?: AbortSignal | undefined }): Promise<RefreshResult>
}

/** Refreshes views by their policies, one after the other, until it is closed. */
export class Refresher {
  private readonly lake: Views
  private readonly clock: Clock
  private readonly events: EventSink
  private readonly ending = new AbortController()
  private readonly running: Promise<void>

  constructor(lake: Views, deps: { readonly clock: Clock; readonly events: EventSink }, everyMs = EVERY_MS) {
    this.lake = lake
    this.clock = deps.clock
    this.events = deps.events
    this.running = this.run(everyMs)
  }

  /** Ends a refresh under way before its commit. */
  async close(): Promise<void> {
    this.ending.abort()
    await this.running
  }

  /** Looks at every view once. What fails is told, and tried again the next time. */
  async round(): Promise<void> {
    const { signal } = this.ending
    const told = async (table: string, work: () => Promise<void>) => {
      try {
        await work()
      } catch (error) {
        if (!signal.aborted) this.events({ type: 'degraded', table, what: 'refresh views', error })
      }
    }
    await told('', async () => {
      for (const { name, uri } of await this.lake.views({ signal }))
        await told(uri, async () => {
          const view = await this.lake.describeView(name, { signal })
          if (isRefreshDue(refreshPolicy(view.properties), view)) await this.lake.refreshView(name, { signal })
        })
    })
  }

  private async run(everyMs: number): Promise<void> {
    const { signal } = this.ending
    const ended = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
    while (!signal.aborted) {
      await Promise.race([this.clock.sleep(everyMs), ended])
      if (!signal.aborted) await this.round()
    }
  }
}
