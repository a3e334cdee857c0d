import { setImmediate } from 'node:timers/promises'
import { LRUCache } from 'lru-cache'
import { Serial } from '../base/serial.js'
import { type View, viewOf } from '../views/view.js'
import type { PinnedTable } from './query-runner.js'
import type { TableHost } from './table-host.js'

/** The newest versions of a view and of all that it reads. */
export interface ViewPins {
  /** As the lakehouse has it, whatever the letter case that was asked for. */
  readonly name: string
  readonly pinned: PinnedTable
  readonly view: View
  /** The tables and views that its definition names. */
  readonly sources: readonly NamedPin[]
  /** The tables beneath: of sources that are views, what these read. */
  readonly tables: readonly NamedPin[]
  /** What the rows of the view follow from: equal ones, one after the other, are of the same rows. */
  readonly marks: readonly unknown[]
  /** Pins these versions wherever the newest is asked for. */
  readonly host: TableHost
}

interface NamedPin {
  readonly name: string
  readonly pinned: PinnedTable
}

const VIEWS_MAX = 64

/** Looks at views for many at a time. Those who ask for one while a look at it is under way share the next. */
export class ViewLooks {
  private readonly host: TableHost
  private readonly work = new LRUCache<string, Look>({ max: VIEWS_MAX })

  constructor(host: TableHost) {
    this.host = host
  }

  /** The newest versions, none of them older than this call; `undefined` where there is no such view. */
  newest(name: string): Promise<ViewPins | undefined> {
    const work = this.work.get(name) ?? { serial: new Serial(), queued: undefined, sources: [] }
    this.work.set(name, work)
    work.queued ??= work.serial.run(() => this.look(name, work))
    return work.queued
  }

  private async look(name: string, work: Look): Promise<ViewPins | undefined> {
    // Requests that came in the same turn are answered together.
    await setImmediate()
    work.queued = undefined
    const pins = await pinNewest(this.host, name, work.sources)
    work.sources = pins?.view.sources ?? []
    return pins
  }
}

interface Look {
  readonly serial: Serial
  /** A look that has not begun. */
  queued: Promise<ViewPins | undefined> | undefined
  /** What the definition named the last time. */
  sources: readonly string[]
}

/**
 * Pins the newest versions; `undefined` where there is no such view.
 *
 * @param expected names that its definition may have: they are asked for at the same time as the view.
 */
export async function pinNewest(outer: TableHost, name: string, expected: readonly string[] = []): Promise<ViewPins | undefined> {
  const host = pinningOnce(outer)
  for (const source of expected) host.pin({ schema: '', name: source }, undefined).catch(() => undefined)
  const pinned = await host.pin({ schema: '', name }, undefined)
  const view = pinned && viewOf(pinned.snapshot)
  if (!pinned || !view) return undefined
  const sources = await pinSources(host, view)
  const tables = new Map<string, NamedPin>()
  const marks: unknown[] = [pinned.snapshot.metadata]
  const descend = async (found: readonly NamedPin[]) => {
    for (const source of found) {
      const { metadata, version } = source.pinned.snapshot
      if (tables.has(source.name)) continue
      const inner = viewOf(source.pinned.snapshot)
      if (inner) {
        marks.push(metadata)
        await descend(await pinSources(host, inner))
      } else {
        marks.push(metadata.id, version)
        tables.set(source.name, source)
      }
    }
  }
  await descend(sources)
  const own = decodeURIComponent(pinned.table.uri.split('/').at(-1) ?? name)
  return { name: own, pinned, view, sources, tables: [...tables.values()], marks, host }
}

/** Sources that are gone are left out: reading the view says which. */
async function pinSources(host: TableHost, view: View): Promise<readonly NamedPin[]> {
  const found: NamedPin[] = []
  for (const name of view.sources) {
    const pinned = await host.pin({ schema: '', name }, undefined)
    if (pinned) found.push({ name, pinned })
  }
  return found
}

function pinningOnce(outer: TableHost): TableHost {
  const known = new Map<string, ReturnType<TableHost['pin']>>()
  return {
    ...outer,
    pin: (wanted, signal) => {
      if (wanted.version !== undefined || wanted.timestampMs !== undefined) return outer.pin(wanted, signal)
      const key = JSON.stringify([wanted.schema, wanted.name.toLowerCase()])
      const found = known.get(key) ?? outer.pin(wanted, signal)
      known.set(key, found)
      return found
    },
  }
}
