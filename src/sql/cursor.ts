import { DeltaError } from '../base/errors.js'
import type { Token } from './tokens.js'

/** Reads one statement's tokens from left to right. */
export class Cursor {
  readonly text: string
  private readonly tokens: readonly Token[]
  private index = 0

  constructor(text: string, tokens: readonly Token[]) {
    this.text = text
    this.tokens = tokens
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

  /** The text up to where `stops` says so, outside of brackets; a bracket that closes more than was opened stops it too. */
  textUntil(what: string, stops: (token: Token) => boolean, brackets = '([)]'): string {
    const [opening, closing] = [brackets.slice(0, brackets.length / 2), brackets.slice(brackets.length / 2)]
    const first = this.peek()
    let last: Token | undefined
    let depth = 0
    for (let token = this.peek(); token; token = this.peek()) {
      if (depth === 0 && stops(token)) break
      if (token.kind === 'symbol' && opening.includes(token.value)) depth++
      if (token.kind === 'symbol' && closing.includes(token.value)) depth--
      if (depth < 0) break
      last = token
      this.index++
    }
    if (!first || !last) throw this.unexpected(what)
    return this.text.slice(first.start, last.endExclusive)
  }

  /** All that is left. */
  rest(what: string): string {
    const first = this.peek()
    const last = this.tokens.at(-1)
    if (!first || !last) throw this.unexpected(what)
    this.index = this.tokens.length
    return this.text.slice(first.start, last.endExclusive)
  }

  end(): void {
    if (!this.done) throw this.unexpected('the end of the statement')
  }

  unexpected(wanted: string): DeltaError {
    const token = this.peek()
    const position = token?.start ?? this.text.length
    return new DeltaError('SQL_INVALID', `expected ${wanted}${mark(this.text, position, token?.text)}`, { position })
  }

  private is(token: Token | undefined, word: string): boolean {
    return (token?.kind === 'word' || token?.kind === 'symbol') && token.value === word.toLowerCase()
  }
}

/** The line of the text with a mark below the position, as DuckDB shows it. */
export function mark(text: string, position: number, found: string | undefined): string {
  const start = text.lastIndexOf('\n', position - 1) + 1
  const end = text.indexOf('\n', position)
  const line = text.slice(start, end < 0 ? undefined : end)
  const number = text.slice(0, start).split('\n').length
  const head = `LINE ${number}: `
  return `${found === undefined ? ' at the end' : ` at or near "${found}"`}\n\n${head}${line}\n${' '.repeat(head.length + position - start)}^`
}
