import type { Clock } from '../base/clock.js'
import {
  type PinnedPart,
  type PinnedSource,
  readView,
  type SourceLag,
  stateName,
  storedOf,
  type ViewReading,
  viewAt,
} from '../views/exact.js'
import { maintenanceOf } from '../views/plan.js'
import { viewOf } from '../views/view.js'
import type { Engines } from './engines.js'
import type { ViewRead } from './options.js'

interface Context {
  readonly engines: Pick<Engines, 'commits'>
  readonly clock: Clock
}

type Pinned = Pick<PinnedSource, 'table' | 'snapshot'>

export interface ViewRequest {
  readonly name: string
  readonly prefix: string
  /** Whether it is asked for as it was stored at a version. */
  readonly asStored: boolean
  /** Whether its state will do, however old. */
  readonly staleOk: boolean
}

/** A view of a query: its rows as SQL over tables at pinned versions. */
export async function resolveView(
  context: Context,
  reading: ViewReading,
  pinned: Pinned,
  { name, prefix, asStored, staleOk }: ViewRequest,
): Promise<{ readonly sql: string; readonly parts: readonly PinnedPart[]; readonly read: ViewRead | undefined } | undefined> {
  const view = viewOf(pinned.snapshot)
  if (!view) return undefined
  const state: PinnedSource = { name, table: pinned.table, snapshot: pinned.snapshot }
  const standIn = stateName(prefix)
  const stored = { sql: storedOf(view, prefix), parts: [{ ...state, standIn }] }
  if (asStored) return { ...stored, read: undefined }
  const { sql, parts, at } = staleOk
    ? { ...stored, at: await viewAt(reading, state, prefix) }
    : await readView(reading, state, prefix)
  const isBehind = at.isBeyond || at.changes.plus.length + at.changes.minus.length > 0
  return {
    sql,
    parts,
    read: {
      name,
      version: pinned.snapshot.version,
      from: !isBehind || staleOk ? 'state' : at.isBeyond ? 'definition' : 'changes',
      stale: isBehind && staleOk,
      ageMs: isBehind && staleOk ? await ageOf(context, reading, at.lags) : 0,
      sources: at.lags,
      maintenance: maintenanceOf(view.plan),
    },
  }
}

/** Since when a state lacks changes, by the clock of those who committed them. */
export async function ageOf(
  { clock }: Pick<Context, 'clock'>,
  reading: ViewReading,
  lags: readonly SourceLag[],
): Promise<number> {
  const ages = await Promise.all(
    lags.map(async ({ name, watermark, version }) => {
      if (watermark === version) return 0
      const source = await reading.pin(name)
      const commit = source && (await source.table.commitIfKept((watermark ?? -1) + 1))
      const madeAtMs = commit?.commitInfo?.inCommitTimestamp ?? commit?.commitInfo?.timestamp
      return madeAtMs === undefined ? 0 : clock.now() - madeAtMs
    }),
  )
  return Math.max(0, ...ages)
}

/** A reading of one query: each name is pinned once. */
export function viewReading(
  context: Context,
  pin: (name: string) => Promise<Pinned | undefined>,
  signal: AbortSignal | undefined,
): ViewReading {
  return {
    pin: async (name) => {
      const pinned = await pin(name)
      return pinned && { name, table: pinned.table, snapshot: pinned.snapshot }
    },
    commits: context.engines.commits,
    signal,
  }
}
