import type { AutoMaintenance, Lakehouse, StreamRunner } from '../src/index.js'
import type { AnswerCache } from './answer-cache.js'
import type { ServerLimits } from './options.js'
import type { QueryJobs } from './query-jobs.js'
import type { QuerySlots } from './query-slots.js'

/** What routes work with. */
export interface ServerContext {
  readonly lake: Lakehouse
  readonly limits: ServerLimits
  readonly slots: QuerySlots
  readonly cache: AnswerCache
  readonly jobs: QueryJobs
  /** `undefined` where it is switched off. */
  readonly maintenance: AutoMaintenance | undefined
  /** What runs streams; absent on a server that nobody writes to. */
  readonly streams: StreamRunner | undefined
}
