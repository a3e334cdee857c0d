import type { TimedRefresh } from './refresh-views.js'
import type { QueryResult } from './result.js'
import type { IndexedRow } from './view-index.js'
import type { LookupKey, LookupOptions } from './view-lookup.js'
import type { RefreshOptions } from './view-refresh.js'
import type { WatchOptions } from './view-watch.js'
import type { MadeView, ViewDetail } from './views.js'

interface Signalled {
  readonly signal?: AbortSignal | undefined
}

/** What views ask of their lakehouse. */
interface Views {
  describeView(name: string, options: Signalled): Promise<ViewDetail>
  lookup(view: string, keys: LookupKey | readonly LookupKey[], options: LookupOptions): Promise<QueryResult>
  lookupJson(view: string, key: LookupKey): Promise<IndexedRow | undefined>
  watchJson(view: string, key: LookupKey, options: WatchOptions): Promise<AsyncGenerator<IndexedRow, void>>
  refreshView(name: string, options: RefreshOptions): Promise<TimedRefresh>
  rebuildView(name: string, options: RebuildOptions): Promise<MadeView>
  dropView(name: string): Promise<void>
}

interface RebuildOptions extends Signalled {
  readonly as?: string | undefined
}

/** A view of a lakehouse, by its name; each call is the lakehouse's own of the same purpose. */
export class ViewHandle {
  readonly name: string
  private readonly lake: Views

  /** @internal */
  constructor(name: string, lake: Views) {
    this.name = name
    this.lake = lake
  }

  /** What there is to say about it. @throws {DeltaError} `VIEW_NOT_FOUND`. */
  detail(options: Signalled = {}): Promise<ViewDetail> {
    return this.lake.describeView(this.name, options)
  }

  /** See `Lakehouse.lookup`. */
  lookup(keys: LookupKey | readonly LookupKey[], options: LookupOptions = {}): Promise<QueryResult> {
    return this.lake.lookup(this.name, keys, options)
  }

  /** See `Lakehouse.lookupJson`. */
  lookupJson(key: LookupKey): Promise<IndexedRow | undefined> {
    return this.lake.lookupJson(this.name, key)
  }

  /** See `Lakehouse.watchJson`. */
  watchJson(key: LookupKey, options: WatchOptions = {}): Promise<AsyncGenerator<IndexedRow, void>> {
    return this.lake.watchJson(this.name, key, options)
  }

  /** See `Lakehouse.refreshView`. */
  refresh(options: RefreshOptions = {}): Promise<TimedRefresh> {
    return this.lake.refreshView(this.name, options)
  }

  /** See `Lakehouse.rebuildView`. */
  rebuild(options: RebuildOptions = {}): Promise<MadeView> {
    return this.lake.rebuildView(this.name, options)
  }

  /** See `Lakehouse.dropView`. */
  drop(): Promise<void> {
    return this.lake.dropView(this.name)
  }
}
