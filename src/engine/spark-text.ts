import { ident, literal } from './sql-text.js'

/** Escapes in Spark's string literals. Before `%` and `_` the backslash stays, for LIKE. */
const ESCAPES: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  b: '\b',
  '0': '\0',
  Z: '\x1a',
  '%': '\\%',
  _: '\\_',
}
const BEFORE_LITERAL = /(?:^|[^\w$])(date|timestamp)$/i

/**
 * Spark's spelling of an expression in the engine's: quotes around names and strings, and marked numbers. It says nothing
 * of what the expression means.
 *
 * @returns `undefined` for a text with something in it that the two do not share.
 */
export function sparkTextInDuckdb(text: string): string | undefined {
  let out = ''
  for (let at = 0; at < text.length; ) {
    const char = text[at] ?? ''
    if (char === '`') {
      const name = /^`((?:[^`]|``)+)`/.exec(text.slice(at))
      if (!name) return undefined
      out += ident((name[1] ?? '').replaceAll('``', '`'))
      at += name[0].length
    } else if (char === "'" || char === '"') {
      if (/[\w$]$/.test(out) && !BEFORE_LITERAL.test(out)) return undefined
      const string = readString(text, at)
      if (!string) return undefined
      out += literal(string.value)
      at = string.end
    } else if (/[0-9]/.test(char) && !/[\w$]$/.test(out)) {
      const number = /^(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)([lL]?)(?![\w$])/.exec(text.slice(at))
      if (!number || (number[1] ?? '').replace(/\D/g, '').length > 15) return undefined
      const isLong = number[2] !== ''
      if (isLong && !/^\d+$/.test(number[1] ?? '')) return undefined
      out += isLong ? `CAST(${number[1]} AS BIGINT)` : number[1]
      at += number[0].length
    } else if (/[\w\s.,()=<>!+\-*/%|]/.test(char)) {
      if (/^(--|\/\*|->|\/\/|\*\*)/.test(text.slice(at))) return undefined
      out += char
      at++
    } else return undefined
  }
  return out
}

function readString(text: string, start: number): { readonly value: string; readonly end: number } | undefined {
  const quote = text[start]
  let value = ''
  for (let at = start + 1; at < text.length; at++) {
    const char = text[at] ?? ''
    if (char === '\\') {
      const escaped = text[++at] ?? ''
      if (/[uU1-7]/.test(escaped)) return undefined
      value += ESCAPES[escaped] ?? escaped
    } else if (char !== quote) value += char
    else if (text[at + 1] === quote) {
      value += char
      at++
    } else return { value, end: at + 1 }
  }
  return undefined
}
