import type { Elsewhere, ObjectStore, StorePlace } from './store.js'

/** Opens other stores with the settings of one, each bucket once. */
export class OtherStores implements Elsewhere {
  private readonly open: (uri: string) => ObjectStore
  private readonly stores = new Map<string, ObjectStore>()

  constructor(open: (uri: string) => ObjectStore) {
    this.open = open
  }

  place(uri: string): StorePlace | undefined {
    const [, root, path] = /^(s3:\/\/[^/]+|memory:[^/]+)\/(.+)$/s.exec(uri) ?? []
    if (root === undefined || path === undefined) return undefined
    const store = this.stores.get(root) ?? this.open(root)
    this.stores.set(root, store)
    return { store, path }
  }

  async close(): Promise<void> {
    await Promise.all([...this.stores.values()].map((store) => store.close()))
    this.stores.clear()
  }
}
