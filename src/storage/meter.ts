/** What a store was asked and what it carried, since it was opened. */
export interface StoreUse {
  /** Requests that were sent, failed and repeated ones included. */
  readonly requests: Readonly<Record<RequestKind, number>>
  /** Of objects, as they came. */
  readonly bytesRead: number
  /** Of objects, as they were sent. */
  readonly bytesWritten: number
}

export type RequestKind = 'get' | 'head' | 'put' | 'list' | 'delete'

const KINDS: readonly RequestKind[] = ['get', 'head', 'put', 'list', 'delete']

/** Counts the requests of a store, and those of the store that it is a part of. */
export class StoreMeter implements StoreUse {
  readonly requests: Record<RequestKind, number> = Object.fromEntries(KINDS.map((kind) => [kind, 0])) as Record<
    RequestKind,
    number
  >
  bytesRead = 0
  bytesWritten = 0
  readonly #whole: StoreMeter | undefined

  constructor(whole?: StoreMeter) {
    this.#whole = whole
  }

  count(kind: RequestKind, times = 1): void {
    this.requests[kind] += times
    this.#whole?.count(kind, times)
  }

  carry(read: number, written: number): void {
    this.bytesRead += read
    this.bytesWritten += written
    this.#whole?.carry(read, written)
  }

  /** As it is now. */
  get use(): StoreUse {
    return { requests: { ...this.requests }, bytesRead: this.bytesRead, bytesWritten: this.bytesWritten }
  }
}

/** Of all stores on S3 that this process has opened. */
export const PROCESS = new StoreMeter()

/** What this process has asked of object storage, and what it has carried, since it began. */
export function processStorageUse(): StoreUse {
  return PROCESS.use
}
