import type { ObjectStore } from '../../storage/store.js'
import { isHidden } from './disk-files.js'
import { objectAppId } from './file-id.js'
import type { FollowedFiles, FoundFile } from './found-file.js'

/** The objects below a prefix. Each is taken as a whole; one that is written anew is another. */
export class StoreFiles implements FollowedFiles {
  private readonly store: ObjectStore

  constructor(store: ObjectStore) {
    this.store = store
  }

  get uri(): string {
    return this.store.uri
  }

  async look(): Promise<readonly FoundFile[]> {
    const found: FoundFile[] = []
    for await (const { path, sizeBytes, modifiedAtMs } of this.store.list('')) {
      if (path.split('/').some(isHidden)) continue
      const appId = objectAppId(this.uri, path, modifiedAtMs)
      found.push({ path, key: appId, sizeBytes, writtenAtMs: modifiedAtMs, changedAtMs: modifiedAtMs, appId, mayGrow: false })
    }
    return found
  }

  async read(file: FoundFile, start: number, endExclusive: number): Promise<Uint8Array | undefined> {
    const bytes = await this.store.get(file.path, { range: { start, endExclusive } })
    // Asked for afterwards, so that the bytes are of the object that was listed. Listings and answers differ in how fine times are.
    const now = await this.store.head(file.path)
    const isSame = now?.sizeBytes === file.sizeBytes && secondOf(now.modifiedAtMs) === secondOf(file.changedAtMs)
    return isSame ? bytes : undefined
  }

  async finish(): Promise<boolean> {
    return false
  }

  async close(): Promise<void> {
    await this.store.close()
  }
}

function secondOf(timeMs: number): number {
  return Math.floor(timeMs / 1000)
}
