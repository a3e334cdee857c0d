import { DeltaError } from '../base/errors.js'

/** A piece of SQL text. Comments and white space are between tokens. */
export interface Token {
  readonly kind: 'word' | 'quoted' | 'string' | 'number' | 'parameter' | 'symbol'
  /** As it stands in the text. */
  readonly text: string
  /** What it means: a word in lower case, an identifier or a string without its quotes, a parameter's name. */
  readonly value: string
  readonly start: number
  readonly endExclusive: number
}

const WORD = /[\p{L}_][\p{L}\p{N}_$]*/uy
const NUMBER = /(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/y
const SPACE = /[\s\u00a0\ufeff]+|--[^\n\r]*/y
const PARAMETER = /\$(?:\d+|[\p{L}_][\p{L}\p{N}_]*)|\?\d*/uy
const DOLLAR_QUOTE = /\$(?:[\p{L}_][\p{L}\p{N}_]*)?\$/uy

/**
 * Cuts SQL into tokens, as DuckDB's lexer does: nested comments, `E'…'` and dollar-quoted strings included. Backticks
 * quote identifiers, as in Spark.
 *
 * @throws {DeltaError} `SQL_INVALID` for a quote or comment that does not end.
 */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = []
  let at = 0
  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at
    return pattern.exec(text)?.[0]
  }
  const push = (kind: Token['kind'], length: number, value: string) => {
    tokens.push({ kind, text: text.slice(at, at + length), value, start: at, endExclusive: at + length })
    at += length
  }
  while (at < text.length) {
    const space = match(SPACE)
    if (space) {
      at += space.length
      continue
    }
    if (text.startsWith('/*', at)) {
      at = endOfComment(text, at)
      continue
    }
    const character = text[at] ?? ''
    const word = match(WORD)
    if (word && /^e$/i.test(word) && text[at + 1] === "'") {
      const end = endOfQuote(text, at + 1, true)
      push('string', end - at, text.slice(at, end))
    } else if (word) push('word', word.length, word.toLowerCase())
    else if (/[0-9]/.test(character) || /^\.\d/.test(text.slice(at, at + 2)))
      push('number', (match(NUMBER) ?? character).length, match(NUMBER) ?? character)
    else if (character === "'" || character === '"' || character === '`') {
      const end = endOfQuote(text, at, false)
      const value = text.slice(at + 1, end - 1).replaceAll(character + character, character)
      push(character === "'" ? 'string' : 'quoted', end - at, value)
    } else if (match(DOLLAR_QUOTE)) {
      const tag = match(DOLLAR_QUOTE) ?? ''
      const end = text.indexOf(tag, at + tag.length)
      if (end < 0) throw unterminated(text, at)
      push('string', end + tag.length - at, text.slice(at + tag.length, end))
    } else if (match(PARAMETER)) {
      const parameter = match(PARAMETER) ?? ''
      push('parameter', parameter.length, parameter.slice(1))
    } else push('symbol', 1, character)
  }
  return tokens
}

/** The tokens of each statement; empty statements are left out. */
export function splitStatements(tokens: readonly Token[]): Token[][] {
  const statements: Token[][] = [[]]
  for (const token of tokens) {
    if (token.kind === 'symbol' && token.value === ';') statements.push([])
    else statements.at(-1)?.push(token)
  }
  return statements.filter((statement) => statement.length > 0)
}

function endOfQuote(text: string, start: number, backslashes: boolean): number {
  const quote = text[start]
  for (let i = start + 1; i < text.length; i++) {
    if (backslashes && text[i] === '\\') i++
    else if (text[i] === quote) {
      if (text[i + 1] !== quote) return i + 1
      i++
    }
  }
  throw unterminated(text, start)
}

function endOfComment(text: string, start: number): number {
  let depth = 0
  for (let i = start; i < text.length; i++) {
    if (text.startsWith('/*', i)) {
      depth++
      i++
    } else if (text.startsWith('*/', i)) {
      i++
      if (--depth === 0) return i + 1
    }
  }
  throw unterminated(text, start)
}

function unterminated(text: string, position: number): DeltaError {
  return new DeltaError('SQL_INVALID', `a quote or comment does not end: ${text.slice(position, position + 20)}`, { position })
}
