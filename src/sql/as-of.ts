import { Cursor } from './cursor.js'
import type { Token } from './tokens.js'

/** A call of `as_of('v', time[, known => version])`. */
export interface AsOfCall {
  readonly view: string
  readonly time: string
  /** `undefined` for the newest version of the view's source. */
  readonly known: string | undefined
  readonly endExclusive: number
}

/**
 * Reads `as_of('v', TIMESTAMP '…', known => 57)` where the token at `at` begins one.
 *
 * @throws {DeltaError} `SQL_INVALID` with the position marked.
 */
export function readAsOfCall(text: string, tokens: readonly Token[], at: number): AsOfCall | undefined {
  const token = tokens[at]
  const before = tokens[at - 1]
  if (token?.kind !== 'word' || token.value !== 'as_of' || before?.value === '.') return undefined
  const cursor = new Cursor(text, tokens, [], at + 1)
  if (!cursor.accept('(')) return undefined
  const view = cursor.string('the name of a view in quotes')
  cursor.expect(',')
  const time = cursor.textUntil('a time', () => cursor.isAt(','))
  let known: string | undefined
  if (cursor.accept(',')) {
    cursor.expect('known', '=', '>')
    known = cursor.textUntil('a version', () => false)
  }
  const close = cursor.peek()
  cursor.expect(')')
  return { view, time, known, endExclusive: close?.endExclusive ?? text.length }
}
