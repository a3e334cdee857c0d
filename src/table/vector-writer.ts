import { crc32 } from 'node:zlib'
import type { Random } from '../base/random.js'
import type { DeletionVectorDescriptor } from '../protocol/actions.js'
import { deletionVectorPath, describeDeletionVector, frame, VECTOR_FILE_VERSION } from '../protocol/deletion-vector.js'
import type { RowBitmap } from '../protocol/row-bitmap.js'
import type { ObjectStore, StoreOptions } from '../storage/store.js'

/** A file is full at this size, as other writers have it: whoever needs one vector of it may read it whole. */
const FILE_BYTES = 2 * 2 ** 20

/**
 * Writes deletion vectors, several into one file. They are in the store after `finish`, and belong to no version before a
 * commit names them.
 */
export class VectorWriter {
  private readonly store: ObjectStore
  private readonly random: Random
  private readonly options: StoreOptions
  private uuid: string
  private parts: Uint8Array[] = [Uint8Array.of(VECTOR_FILE_VERSION)]
  private offset = 1

  constructor(store: ObjectStore, random: Random, options: StoreOptions = {}) {
    this.store = store
    this.random = random
    this.options = options
    this.uuid = random.uuid()
  }

  async write(bitmap: RowBitmap): Promise<DeletionVectorDescriptor> {
    const bytes = bitmap.serialize()
    const framed = frame(bytes, crc32)
    const described = describeDeletionVector(this.uuid, this.offset, bytes.length, bitmap.size)
    this.parts.push(framed)
    this.offset += framed.length
    if (this.offset >= FILE_BYTES) await this.finish()
    return described
  }

  async finish(): Promise<void> {
    if (this.offset === 1) return
    await this.store.put(deletionVectorPath('', this.uuid), Buffer.concat(this.parts), this.options)
    this.uuid = this.random.uuid()
    this.parts = [Uint8Array.of(VECTOR_FILE_VERSION)]
    this.offset = 1
  }
}
