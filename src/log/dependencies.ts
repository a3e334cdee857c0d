import type { EventSink } from '../base/events.js'
import type { Database } from '../engine/database.js'
import type { Spool } from '../engine/spool.js'
import type { ObjectStore } from '../storage/store.js'

export interface LogDependencies {
  readonly store: ObjectStore
  readonly database: Database
  readonly spool: Spool
  readonly events: EventSink
}
