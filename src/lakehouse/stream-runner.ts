import { systemClock } from '../base/clock.js'
import type { StreamStatus } from '../ingest/kafka/stream.js'
import type { Lakehouse } from './lakehouse.js'
import type { StreamDefinition } from './stream-registry.js'

/** How a stream fares here. */
export interface RunningStream {
  /** `waiting`: what it needs does not answer, and it tries again. `failed`: it ended, and only a new definition begins it anew. */
  readonly state: 'running' | 'waiting' | 'failed'
  /** Why it waits or failed. */
  readonly error: string | undefined
  readonly status: StreamStatus | undefined
}

interface Run {
  readonly text: string
  readonly stop: AbortController
  readonly ended: Promise<void>
  now: RunningStream
}

const SYNC_MS = 10_000

/**
 * Runs the streams of a lakehouse that servers run. Other servers of the same lakehouse do too: they share the partitions, and
 * each sees within seconds what was defined or dropped elsewhere.
 */
export class StreamRunner {
  private readonly lake: Lakehouse
  private readonly onError: (error: unknown) => void
  private readonly runs = new Map<string, Run>()
  private readonly stop = new AbortController()
  private looking: Promise<void> | undefined

  /** @param onError told of what a stream waits for or failed with. */
  constructor(lake: Lakehouse, onError: (error: unknown) => void) {
    this.lake = lake
    this.onError = onError
  }

  /** Begins to run them. */
  begin(): void {
    this.looking ??= this.look()
  }

  /** Begins what was defined and ends what was dropped since the last time. */
  async sync(): Promise<void> {
    const definitions = (await this.lake.streamDefinitions()).filter(({ runs }) => runs === 'server')
    const wanted = new Map(definitions.map((definition) => [definition.id, definition]))
    const gone = [...this.runs].filter(([id, { text }]) => text !== JSON.stringify(wanted.get(id)))
    await Promise.all(gone.map(([id, run]) => this.end(id, run)))
    if (this.stop.signal.aborted) return
    for (const [id, definition] of wanted) if (!this.runs.has(id)) this.run(definition)
  }

  /** How a stream fares; `undefined` for one that does not run here. */
  of(id: string): RunningStream | undefined {
    return this.runs.get(id)?.now
  }

  /** Every stream that runs here, by its id. */
  get all(): readonly (readonly [id: string, stream: RunningStream])[] {
    return [...this.runs].map(([id, { now }]) => [id, now] as const)
  }

  /** Ends all of them, once what they took is in their tables. */
  async close(): Promise<void> {
    this.stop.abort()
    await this.looking
    await Promise.all([...this.runs].map(([id, run]) => this.end(id, run)))
  }

  private async look(): Promise<void> {
    while (!this.stop.signal.aborted) {
      await this.sync().catch(this.onError)
      await systemClock.sleep(SYNC_MS, this.stop.signal).catch(() => undefined)
    }
  }

  private async end(id: string, run: Run): Promise<void> {
    this.runs.delete(id)
    run.stop.abort()
    await run.ended
  }

  private run(definition: StreamDefinition): void {
    const stop = new AbortController()
    const told: { run?: Run } = {}
    const tell = (now: Partial<RunningStream>) => {
      if (told.run) told.run.now = { ...told.run.now, ...now }
    }
    const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error))
    const work = async () => {
      try {
        await this.lake.stream(definition.source, definition.table, {
          ...definition.settings,
          signal: stop.signal,
          onProgress: (status) => tell({ state: 'running', error: undefined, status }),
          onRetry: (error) => {
            tell({ state: 'waiting', error: messageOf(error) })
            this.onError(error)
          },
        })
      } catch (error) {
        tell({ state: 'failed', error: messageOf(error) })
        this.onError(error)
      }
    }
    const now: RunningStream = { state: 'running', error: undefined, status: undefined }
    told.run = { text: JSON.stringify(definition), stop, now, ended: Promise.resolve().then(work) }
    this.runs.set(definition.id, told.run)
  }
}
