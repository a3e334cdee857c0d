import type { Lakehouse } from '../src/index.js'
import type { ServerLimits } from './options.js'
import type { QuerySlots } from './query-slots.js'

/** What routes work with. */
export interface ServerContext {
  readonly lake: Lakehouse
  readonly limits: ServerLimits
  readonly slots: QuerySlots
}
