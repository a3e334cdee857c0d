import type { QueryPins } from '../src/index.js'
import type { AnswerFormat } from './formats.js'

/**
 * The `ETag` of an answer; `undefined` where the same question may be answered otherwise. It is a weak one: two answers alike
 * may differ in the order of rows that nobody asked for, and in the time they took.
 */
export function answerTag({ fingerprint }: QueryPins, format: AnswerFormat): string | undefined {
  return fingerprint === undefined ? undefined : `W/"${fingerprint}.${format}"`
}

/** Whether an `If-None-Match` header names the tag. */
export function hasTag(header: string | undefined, tag: string): boolean {
  const opaque = (text: string) => text.trim().replace(/^W\//, '')
  return (header ?? '').split(',').some((one) => opaque(one) === opaque(tag))
}
