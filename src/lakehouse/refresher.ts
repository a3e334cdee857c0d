import type { Clock } from '../base/clock.js'
import type { EventSink } from '../base/events.js'
import { isRefreshDue, refreshPolicy } from './refresh-policy.js'
import type { RefreshedView } from './refresh-views.js'
import type { ViewDetail, ViewSummary } from './views.js'

const EVERY_MS = 5_000

interface Views {
  views(options?: { readonly signal?: AbortSignal | undefined }): Promise<readonly ViewSummary[]>
  describeView(name: string, options?: { readonly signal?: AbortSignal | undefined }): Promise<ViewDetail>
  refreshViews(
    names: readonly string[],
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<readonly RefreshedView[]>
}

/** Refreshes views by their policies, those that are due at one time together, until it is closed. */
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
      const due = new Map<string, string>()
      for (const { name, uri } of await this.lake.views({ signal }))
        await told(uri, async () => {
          const view = await this.lake.describeView(name, { signal })
          if (isRefreshDue(refreshPolicy(view.properties), view)) due.set(name, uri)
        })
      for (const refreshed of await this.lake.refreshViews([...due.keys()], { signal }))
        await told(due.get(refreshed.view) ?? '', async () => {
          if ('error' in refreshed) throw refreshed.error
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
