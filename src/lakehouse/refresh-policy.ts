import { DeltaError } from '../base/errors.js'
import { parseInterval, parseSize } from '../protocol/properties.js'
import type { SourceLag } from '../views/exact.js'

/** When the state of a view is brought up to its sources. */
export interface RefreshPolicy {
  readonly isManual: boolean
  /** How long a change may wait, in milliseconds. */
  readonly lagMs: number
  /** How large the files with changes may become, in bytes. */
  readonly lagBytes: number
}

const MODE = 'deltaic.view.refresh'
const LAG = 'deltaic.view.refresh.lag'
const BYTES = 'deltaic.view.refresh.bytes'
const LAG_MS = 60_000
const LAG_BYTES = 64 * 2 ** 20
/** A state that far behind is moved on although no row changed: reads look through every commit since. */
const COMMITS_BEHIND_MAX = 100

/**
 * Reads a view's policy: `deltaic.view.refresh` (`auto` or `manual`), `.lag` (`30 seconds`) and `.bytes` (`16MB`).
 *
 * @throws {DeltaError} `ARGUMENT_INVALID`.
 */
export function refreshPolicy(properties: Readonly<Record<string, string>>): RefreshPolicy {
  const bad = (property: string, hint: string) =>
    new DeltaError('ARGUMENT_INVALID', 'table property has a bad value', { property, value: properties[property] }, { hint })
  const mode = properties[MODE] ?? 'auto'
  if (!['auto', 'manual'].includes(mode)) throw bad(MODE, 'auto, or manual')
  const lagMs = properties[LAG] === undefined ? LAG_MS : parseInterval(properties[LAG])
  if (lagMs === undefined) throw bad(LAG, 'a number and a unit: 30 seconds')
  const lagBytes = properties[BYTES] === undefined ? LAG_BYTES : parseSize(properties[BYTES])
  if (lagBytes === undefined) throw bad(BYTES, 'a size: 16MB')
  return { isManual: mode === 'manual', lagMs, lagBytes }
}

/** How far a view's state is behind. */
interface ViewLag {
  readonly behind: boolean
  readonly lagMs: number
  readonly lagBytes: number
  readonly watermarks: readonly SourceLag[]
}

/** Whether a view's state is to be refreshed now. Pure. */
export function isRefreshDue(policy: RefreshPolicy, view: ViewLag): boolean {
  if (policy.isManual) return false
  if (view.behind && (view.lagMs >= policy.lagMs || view.lagBytes >= policy.lagBytes)) return true
  return view.watermarks.some(({ watermark, version }) => watermark !== undefined && version - watermark >= COMMITS_BEHIND_MAX)
}
