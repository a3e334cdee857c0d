import { parseInterval } from './properties.js'
import { isTrue } from './table-features.js'

/** What a table says of its upkeep in a process that serves it. */
export interface MaintenanceProperties {
  /** `deltaic.maintenance.enabled`, true unless the table says otherwise. */
  readonly enabled: boolean
  /** `delta.autoOptimize.autoCompact`, true unless the table says otherwise. */
  readonly compacts: boolean
  /** `deltaic.maintenance.minFiles`: as many small files of about one size are rewritten at once, at least 2. */
  readonly filesMin: number
  /** `deltaic.maintenance.vacuum`: false unless the table says otherwise, as old versions go with their files. */
  readonly vacuums: boolean
  /** `deltaic.maintenance.vacuumInterval`, a day unless the table says otherwise. */
  readonly vacuumEveryMs: number
}

const FILES_MIN = 16
const DAY_MS = 86_400_000

/** Reads a table's configuration; what is absent or unreadable has its default. */
export function maintenanceProperties(configuration: Readonly<Record<string, string>>): MaintenanceProperties {
  const text = (name: string) => configuration[`deltaic.maintenance.${name}`]
  const filesMin = Number(text('minFiles') ?? Number.NaN)
  return {
    enabled: text('enabled') === undefined || isTrue(text('enabled')),
    compacts: !/^\s*false\s*$/i.test(configuration['delta.autoOptimize.autoCompact'] ?? ''),
    filesMin: Number.isSafeInteger(filesMin) && filesMin >= 2 ? filesMin : FILES_MIN,
    vacuums: isTrue(text('vacuum')),
    vacuumEveryMs: parseInterval(text('vacuumInterval')) ?? DAY_MS,
  }
}
