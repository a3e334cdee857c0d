import type { AbortedTransaction } from './record-batch.js'

/** What a broker says of a partition that was asked for. */
export interface FetchedPartition {
  readonly partition: number
  /** 0 for none. */
  readonly errorCode: number
  /** The offset after the partition's last record. */
  readonly high: number
  readonly aborted: readonly AbortedTransaction[]
  /** The record set as it came. */
  readonly records: Buffer
}

/** A reply to a fetch of one topic, in version 4. @see https://kafka.apache.org/protocol#The_Messages_Fetch */
export function readFetchReply(reply: Buffer): FetchedPartition[] {
  let at = 0
  const skip = (bytes: number) => {
    at += bytes
    return at - bytes
  }
  const int16 = () => reply.readInt16BE(skip(2))
  const int32 = () => reply.readInt32BE(skip(4))
  const int64 = () => reply.readBigInt64BE(skip(8))
  const list = <T>(one: () => T): T[] => Array.from({ length: Math.max(0, int32()) }, one)
  const partition = (): FetchedPartition => {
    const [number, errorCode, high] = [int32(), int16(), Number(int64())]
    // The end of what transactions have settled, beyond which nothing is sent anyway.
    skip(8)
    const aborted = list(() => ({ producerId: int64(), firstOffset: Number(int64()) }))
    const sizeBytes = Math.max(0, int32())
    const start = skip(sizeBytes)
    return { partition: number, errorCode, high, aborted, records: reply.subarray(start, at) }
  }
  // How long the broker wants to be left alone: the client sees to that.
  skip(4)
  return list(() => {
    skip(int16())
    return list(partition)
  }).flat()
}
