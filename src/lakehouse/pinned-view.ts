import { DeltaError } from '../base/errors.js'
import { bucketsName } from '../views/buckets.js'
import type { PinnedSource, ViewReading } from '../views/exact.js'
import { type View, viewOf } from '../views/view.js'
import type { TableHost } from './table-host.js'
import { viewReading } from './view-reads.js'

/** A version of a view's state. */
export type PinnedView = PinnedSource & { readonly view: View }

/** @throws {DeltaError} `VIEW_NOT_FOUND`. */
export async function pinView(host: TableHost, name: string, signal?: AbortSignal): Promise<PinnedView> {
  const pinned = await host.pin({ schema: '', name }, signal)
  const view = pinned && viewOf(pinned.snapshot)
  if (!view)
    throw new DeltaError('VIEW_NOT_FOUND', 'there is no such view', { view: name }, { hint: 'SHOW VIEWS lists the views' })
  return { name, table: pinned.table, snapshot: pinned.snapshot, view }
}

/** A reading of the newest versions, each pinned once. */
export function readingOf(host: TableHost, signal: AbortSignal | undefined): ViewReading {
  const pinned = new Map<string, ReturnType<TableHost['pin']>>()
  const pin = (name: string) => {
    const found = pinned.get(name) ?? host.pin({ schema: '', name }, signal)
    pinned.set(name, found)
    return found
  }
  return viewReading(host, pin, signal)
}

/** The name of the view that holds a view's buckets, where there is one. */
export async function bucketsBeside(host: TableHost, name: string, signal: AbortSignal | undefined): Promise<string | undefined> {
  const inBuckets = bucketsName(name)
  const beside = inBuckets.length <= 128 ? await host.pin({ schema: '', name: inBuckets }, signal) : undefined
  return beside && viewOf(beside.snapshot) ? inBuckets : undefined
}
