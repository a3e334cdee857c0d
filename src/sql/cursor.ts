import { DeltaError } from '../base/errors.js'
import type { Token } from './tokens.js'

/** Reads one statement's tokens from left to right. */
export class Cursor {
  readonly text: string
  private readonly tokens: readonly Token[]
  private readonly marks: readonly Token[]
  private index = 0

  /**
   * @param marks the `?` of the statement, in order: one has its number where others are elsewhere in the statement.
   * @param from the first token to read: tokens are never copied, of which a statement may have very many.
   */
  constructor(text: string, tokens: readonly Token[], marks: readonly Token[] = [], from = 0) {
    this.text = text
    this.tokens = tokens
    this.marks = marks
    this.index = from
  }

  get done(): boolean {
    return this.index >= this.tokens.length
  }

  peek(ahead = 0): Token | undefined {
    return this.tokens[this.index + ahead]
  }

  /** Takes these words or symbols when they come next, letter case aside. */
  accept(...words: readonly string[]): boolean {
    if (!words.every((word, i) => this.is(this.peek(i), word))) return false
    this.index += words.length
    return true
  }

  /** Whether one of these words or symbols comes next, letter case aside. */
  isAt(...words: readonly string[]): boolean {
    return words.some((word) => this.is(this.peek(), word))
  }

  expect(...words: readonly string[]): void {
    if (!this.accept(...words)) throw this.unexpected(words.join(' ').toUpperCase())
  }

  /** An identifier, quoted or not, as it is written. */
  identifier(what: string): string {
    const token = this.peek()
    if (token?.kind !== 'word' && token?.kind !== 'quoted') throw this.unexpected(what)
    this.index++
    return token.kind === 'word' ? token.text : token.value
  }

  string(what: string): string {
    const token = this.peek()
    if (token?.kind !== 'string') throw this.unexpected(what)
    this.index++
    return token.value
  }

  /** A number without a sign. */
  number(what: string): number {
    const token = this.peek()
    if (token?.kind !== 'number') throw this.unexpected(what)
    this.index++
    return Number(token.value.replaceAll('_', ''))
  }

  next(what: string): Token {
    const token = this.peek()
    if (!token) throw this.unexpected(what)
    this.index++
    return token
  }

  /** A list in parentheses. */
  list<T>(item: () => T): T[] {
    this.expect('(')
    const items: T[] = []
    do items.push(item())
    while (this.accept(','))
    this.expect(')')
    return items
  }

  /**
   * The text up to where `stops` says so, outside of brackets and of CASE … END; a bracket that closes more than was opened
   * stops it too. While `stops` looks at a token, `peek(1)` is the one after it and `peek(-1)` the one before.
   */
  textUntil(what: string, stops: (token: Token) => boolean, brackets = '([{)]}'): string {
    const [opening, closing] = [brackets.slice(0, brackets.length / 2), brackets.slice(brackets.length / 2)]
    const from = this.index
    let depth = 0
    let cases = 0
    for (let token = this.peek(); token; token = this.peek()) {
      if (depth === 0 && cases === 0 && stops(token)) break
      if (token.kind === 'symbol' && opening.includes(token.value)) depth++
      if (token.kind === 'symbol' && closing.includes(token.value)) depth--
      if (depth < 0) break
      // After a dot these two are names.
      if (depth === 0 && token.kind === 'word' && !(this.index > from && this.is(this.peek(-1), '.'))) {
        if (token.value === 'case') cases++
        if (token.value === 'end' && cases > 0) cases--
      }
      this.index++
    }
    if (this.index === from) throw this.unexpected(what)
    return this.slice(from, this.index)
  }

  /** What is between brackets that come next, without them. */
  bracketed(what: string): string {
    this.expect('(')
    const text = this.textUntil(what, () => false)
    this.expect(')')
    return text
  }

  /** All that is left. */
  rest(what: string): string {
    if (this.done) throw this.unexpected(what)
    const from = this.index
    this.index = this.tokens.length
    return this.slice(from, this.index)
  }

  end(): void {
    if (!this.done) throw this.unexpected('the end of the statement')
  }

  unexpected(wanted: string): DeltaError {
    const token = this.peek()
    const position = token?.start ?? this.text.length
    return new DeltaError('SQL_INVALID', `expected ${wanted}${mark(this.text, position, token?.text)}`, { position })
  }

  private slice(from: number, toExclusive: number): string {
    const first = this.tokens[from]
    const last = this.tokens[toExclusive - 1]
    if (!first || !last) return ''
    const own = this.marks.filter(({ start }) => start >= first.start && start < last.endExclusive)
    if (own.length === this.marks.length) return this.text.slice(first.start, last.endExclusive)
    let out = ''
    let at = first.start
    for (const mark of own) {
      out += `${this.text.slice(at, mark.start)}$${this.marks.indexOf(mark) + 1}`
      at = mark.endExclusive
    }
    return out + this.text.slice(at, last.endExclusive)
  }

  private is(token: Token | undefined, word: string): boolean {
    return (token?.kind === 'word' || token?.kind === 'symbol') && token.value === word.toLowerCase()
  }
}

/** How much of a line is shown on either side of a mark. */
const SHOWN = 80

/** The line of the text with a mark below the position, as DuckDB shows it; of a long line the part around the mark. */
export function mark(text: string, position: number, found: string | undefined): string {
  const start = text.lastIndexOf('\n', position - 1) + 1
  const newline = text.indexOf('\n', position)
  const end = newline < 0 ? text.length : newline
  const from = Math.max(start, position - SHOWN)
  const to = Math.min(end, position + SHOWN)
  const number = text.slice(0, start).split('\n').length
  const head = `LINE ${number}: ${from > start ? '…' : ''}`
  const line = `${head}${text.slice(from, to)}${to < end ? '…' : ''}`
  return `${found === undefined ? ' at the end' : ` at or near "${found}"`}\n\n${line}\n${' '.repeat(head.length + position - from)}^`
}
