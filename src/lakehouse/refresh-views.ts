import { type ViewAt, type ViewReading, viewAt } from '../views/exact.js'
import { type View, viewOf } from '../views/view.js'
import { ChangePass } from './change-pass.js'
import { bucketsBeside, type PinnedView, pinView, readingOf } from './pinned-view.js'
import type { TableHost } from './table-host.js'
import { type RefreshOptions, type RefreshResult, refreshState } from './view-refresh.js'

export type TimedRefresh = RefreshResult & { readonly elapsedMs: number }

/** What became of a view that was refreshed with others. */
export type RefreshedView =
  | { readonly view: string; readonly result: TimedRefresh }
  | { readonly view: string; readonly error: unknown }

const PREFIX = '__view_'
/** Views of which the states are written at one time. */
const TOGETHER_MAX = 2

/** Brings a view's state up to its sources; views that it reads come first. @throws {DeltaError} `VIEW_NOT_FOUND`. */
export async function refreshView(host: TableHost, name: string, options: RefreshOptions = {}): Promise<RefreshResult> {
  const { signal } = options
  const pinned = await pinView(host, name, signal)
  for (const source of pinned.view.sources) {
    const found = await host.pin({ schema: '', name: source }, signal)
    if (found && viewOf(found.snapshot)) await refreshView(host, source, { signal })
  }
  return refreshFrom(host, { ...readingOf(host, signal), upstream: 'stored' }, pinned, options)
}

/** The same from the versions of a reading, and the buckets beside it. */
async function refreshFrom(
  host: TableHost,
  reading: ViewReading,
  first: PinnedView,
  options: RefreshOptions,
): Promise<RefreshResult> {
  const { signal } = options
  const { name, view } = first
  let known: PinnedView | undefined = first
  const result = await refreshState(
    host,
    reading,
    async () => {
      const state = known ?? (await pinView(host, name, signal))
      known = undefined
      return state
    },
    options,
  )
  const beside = view.plan.event && (await bucketsBeside(host, name, signal))
  if (beside) await refreshView(host, beside, options)
  return result
}

/**
 * Brings the states of several views up to their sources. Those over tables follow the same versions, and read what changed in one
 * pass; then come views over views. One that fails keeps no other from it.
 */
export async function refreshViews(
  host: TableHost,
  names: readonly string[],
  { full, signal }: RefreshOptions = {},
): Promise<readonly RefreshedView[]> {
  const pass = new ChangePass(host)
  const reading: ViewReading = { ...readingOf(host, signal), upstream: 'stored', changes: pass.changes }
  const readsViews = async ({ view }: { readonly view: View }) => {
    const pinned = await Promise.all(view.sources.map((source) => reading.pin(source)))
    return pinned.some((source) => source !== undefined && viewOf(source.snapshot) !== undefined)
  }
  const done = new Map<string, RefreshedView>()
  const settle = async (name: string, work: () => Promise<RefreshResult>) => {
    const startedAtMs = host.clock.now()
    try {
      const result = await work()
      done.set(name, { view: name, result: { ...result, elapsedMs: host.clock.now() - startedAtMs } })
    } catch (error) {
      if (signal?.aborted) throw error
      done.set(name, { view: name, error })
    }
  }
  try {
    const together: { readonly pinned: PinnedView; readonly at: ViewAt }[] = []
    const later: string[] = []
    for (const name of new Set(names)) {
      try {
        const pinned = await pinView(host, name, signal)
        if (await readsViews(pinned)) later.push(name)
        else together.push({ pinned, at: await viewAt(reading, pinned, PREFIX) })
      } catch {
        later.push(name)
      }
    }
    const followed = full ? [] : together.map(({ at }) => at)
    await pass.read(followed, { signal })
    const left = together.map(({ pinned }) => pinned)
    const one = async () => {
      for (let next = left.shift(); next; next = left.shift()) {
        const view = next
        await settle(view.name, () => refreshFrom(host, reading, view, { full, signal }))
      }
    }
    await Promise.all(Array.from({ length: TOGETHER_MAX }, one))
    for (const name of later) await settle(name, () => refreshView(host, name, { full, signal }))
  } finally {
    await pass.close()
  }
  return names.flatMap((name) => done.get(name) ?? [])
}
