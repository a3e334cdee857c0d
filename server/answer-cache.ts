import { LRUCache } from 'lru-cache'
import type { Bytes } from './query.js'

/** One answer takes at most this part of the room. */
const SHARE = 8

/** Answers by their tags, in memory; those asked for longest ago go first. */
export class AnswerCache {
  readonly #answers: LRUCache<string, Buffer> | undefined
  readonly #answerBytesMax: number
  #hits = 0

  /** @param bytesMax 0 keeps none. */
  constructor(bytesMax: number) {
    this.#answerBytesMax = Math.floor(bytesMax / SHARE)
    if (this.#answerBytesMax > 0)
      this.#answers = new LRUCache({ maxSize: bytesMax, sizeCalculation: (answer, tag) => answer.length + tag.length })
  }

  get hits(): number {
    return this.#hits
  }

  get bytes(): number {
    return this.#answers?.calculatedSize ?? 0
  }

  get(tag: string): Buffer | undefined {
    const answer = this.#answers?.get(tag)
    if (answer) this.#hits++
    return answer
  }

  /** Keeps an answer that comes to its end, and is small enough, while it passes through. */
  keeping(tag: string | undefined): (bytes: Bytes) => Bytes {
    const answers = this.#answers
    if (!answers || tag === undefined) return (bytes) => bytes
    const bytesMax = this.#answerBytesMax
    return async function* (bytes) {
      let chunks: Uint8Array[] | undefined = []
      let size = 0
      for await (const chunk of bytes) {
        size += chunk.length
        if (size > bytesMax) chunks = undefined
        chunks?.push(chunk)
        yield chunk
      }
      if (chunks) answers.set(tag, Buffer.concat(chunks))
    }
  }
}
