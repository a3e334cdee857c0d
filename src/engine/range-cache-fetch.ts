import { DeltaError } from '../base/errors.js'
import type { ByteRange, ObjectStore, ObjectTag } from '../storage/store.js'
import { Gate } from './range-cache-gate.js'
import { lengthOf } from './range-cache-intervals.js'

/** A data file, and how long the log says that it is. */
export interface RemoteFile {
  readonly store: ObjectStore
  readonly path: string
  readonly sizeBytes: number
}

export interface RangeCacheMeter {
  /** GETs sent, failed ones included. */
  readonly requests: number
  /** Bytes that came. */
  readonly bytes: number
  /** Opens that found all they asked for on this machine. */
  readonly hits: number
}

/** Sends the GETs of one cache, a bounded number at a time, and takes no answer that contradicts the log. */
export class RangeFetcher {
  readonly meter = { requests: 0, bytes: 0, hits: 0 }
  readonly #gate: Gate

  constructor(requestsMax: number) {
    this.#gate = new Gate(requestsMax)
  }

  /**
   * The bytes of `range`, which lies inside the file.
   *
   * @param tag tells that all ranges are of one object
   * @throws {DeltaError} `DATA_FILE_MISSING` when the object is gone, `DATA_FILE_DAMAGED` when it is seen to be shorter
   * than the log says, or longer by an answer that reaches its end, or is another one than before
   */
  async get(file: RemoteFile, range: ByteRange, tag: ObjectTag, signal: AbortSignal): Promise<Uint8Array> {
    return await this.#gate.run(async () => {
      this.meter.requests++
      // One byte more than there should be tells a longer object, without a request of its own.
      const asked = range.endExclusive === file.sizeBytes ? { start: range.start, endExclusive: range.endExclusive + 1 } : range
      const bytes = await file.store.get(file.path, { range: asked, tag, signal })
      if (!bytes) {
        const hint = 'it may have been vacuumed from under an old version: ask for a newer version, or restore the file'
        throw new DeltaError('DATA_FILE_MISSING', 'a data file of the table is gone', { file: nameOf(file) }, { hint })
      }
      this.meter.bytes += bytes.length
      if (bytes.length !== lengthOf(range)) throw damaged(file, 'it is not as long as the log says')
      return bytes
    }, signal)
  }
}

export function damaged(file: RemoteFile, reason: string, cause?: unknown): DeltaError {
  const details = { file: nameOf(file), sizeBytes: file.sizeBytes, reason }
  const hint = 'restore the file from a copy; versions of the table without this file are not affected'
  return new DeltaError('DATA_FILE_DAMAGED', 'a data file of the table is damaged', details, cause ? { hint, cause } : { hint })
}

function nameOf(file: RemoteFile): string {
  return `${file.store.uri}/${file.path}`
}
