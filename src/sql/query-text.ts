import { DeltaError } from '../base/errors.js'
import { ident } from '../engine/sql-text.js'
import { readAsOfCall } from './as-of.js'
import { Cursor } from './cursor.js'
import { readTableChanges } from './table-changes.js'
import type { Token } from './tokens.js'
import { tokenize } from './tokens.js'

/** A table reference with a version or a time, cut out of a query. */
export interface TravelRef {
  /** The name that stands in its place. */
  readonly marker: string
  readonly name: string
  readonly schema: string | undefined
  readonly unit: 'version' | 'timestamp'
  /** An expression, in which parameters are those of the caller. */
  readonly expression: string
}

/** A call of `table_changes`, cut out of a query. */
export interface ChangesRef {
  /** The name that stands in its place. */
  readonly marker: string
  readonly name: string
  readonly schema: string | undefined
  /** Expressions, in which parameters are those of the caller. */
  readonly from: string
  readonly to: string | undefined
}

/** A call of `as_of`, cut out of a query. */
export interface AsOfCut {
  /** The name that stands in its place. */
  readonly marker: string
  readonly name: string
  /** Expressions, in which parameters are those of the caller. */
  readonly time: string
  readonly known: string | undefined
}

/** A query as DuckDB's parser takes it. */
export interface QueryText {
  readonly text: string
  readonly travels: readonly TravelRef[]
  readonly changes: readonly ChangesRef[]
  readonly asOfs: readonly AsOfCut[]
  /** What the caller calls the parameters `$1`, `$2`, … of `text`. */
  readonly parameters: readonly string[]
}

/**
 * Rewrites what DuckDB's parser would refuse: `t VERSION AS OF 3`, `t TIMESTAMP AS OF '…'`, `t@v3` and `t AT (…)` and calls of
 * `table_changes` become a marker, backticks become double quotes, and parameters are numbered in the order of their first use. Text without any
 * of these comes back as it is.
 */
export function readQuery(text: string): QueryText {
  const tokens = tokenize(text)
  const cuts: { readonly start: number; readonly endExclusive: number; readonly replacement: string }[] = []
  const travels: TravelRef[] = []
  const changes: ChangesRef[] = []
  const asOfs: AsOfCut[] = []
  /** Each parameter's number, by its name. */
  const names = new Map<string, number>()
  const markers = unusedPrefix(text, '__travel_')
  const asOfMarkers = unusedPrefix(text, '__as_of_')
  const changesMarkers = unusedPrefix(text, '__changes_')
  let positional = 0
  /** The name by which a parameter is bound: every `?` is the next one. */
  const nameOfParameter = (token: Token) => (token.value === '' ? String(++positional) : token.value)
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i] as Token
    const call = readTableChanges(text, tokens, i)
    const asOf = readAsOfCall(text, tokens, i)
    const travel = isName(token) && !isDot(tokens[i + 1]) ? travelAfter(text, tokens, i) : undefined
    if (asOf) {
      const marker = `${asOfMarkers}${asOfs.length}`
      const known = asOf.known === undefined ? undefined : withNames(asOf.known, nameOfParameter)
      asOfs.push({ marker, name: asOf.view, time: withNames(asOf.time, nameOfParameter), known })
      cuts.push({ start: token.start, endExclusive: asOf.endExclusive, replacement: ident(marker) })
      while ((tokens[i + 1]?.start ?? Number.POSITIVE_INFINITY) < asOf.endExclusive) i++
    } else if (call) {
      const marker = `${changesMarkers}${changes.length}`
      const from = withNames(call.from, nameOfParameter)
      const to = call.to === undefined ? undefined : withNames(call.to, nameOfParameter)
      const named =
        'name' in call.table ? { name: call.table.name, schema: undefined } : { name: call.table.location, schema: 'delta' }
      changes.push({ marker, ...named, from, to })
      cuts.push({ start: token.start, endExclusive: call.endExclusive, replacement: ident(marker) })
      while ((tokens[i + 1]?.start ?? Number.POSITIVE_INFINITY) < call.endExclusive) i++
    } else if (travel) {
      const schema = isDot(tokens[i - 1]) && isName(tokens[i - 2]) ? tokens[i - 2] : undefined
      const marker = `${markers}${travels.length}`
      travels.push({
        marker,
        name: nameOf(token),
        schema: schema && nameOf(schema),
        unit: travel.unit,
        expression: withNames(travel.expression, nameOfParameter),
      })
      cuts.push({ start: (schema ?? token).start, endExclusive: travel.endExclusive, replacement: ident(marker) })
      while ((tokens[i + 1]?.start ?? Number.POSITIVE_INFINITY) < travel.endExclusive) i++
    } else if (token.kind === 'parameter') {
      const name = nameOfParameter(token)
      const number = names.get(name) ?? names.size + 1
      names.set(name, number)
      cuts.push({ start: token.start, endExclusive: token.endExclusive, replacement: `$${number}` })
    } else if (token.kind === 'quoted' && token.text.startsWith('`')) {
      cuts.push({ start: token.start, endExclusive: token.endExclusive, replacement: ident(token.value) })
    }
  }
  let at = 0
  let out = ''
  for (const cut of cuts.sort((a, b) => a.start - b.start)) {
    if (cut.start < at) continue
    out += text.slice(at, cut.start) + cut.replacement
    at = cut.endExclusive
  }
  return { text: out + text.slice(at), travels, changes, asOfs, parameters: [...names.keys()] }
}

/** Names beginning with it are no part of the text. */
export function unusedPrefix(text: string, prefix: string): string {
  return text.toLowerCase().includes(prefix) ? unusedPrefix(text, `_${prefix}`) : prefix
}

/** An expression that stands on its own: each `?` has its name. */
function withNames(expression: string, nameOfParameter: (token: Token) => string): string {
  let out = ''
  let at = 0
  for (const token of tokenize(expression).filter(({ kind }) => kind === 'parameter')) {
    out += `${expression.slice(at, token.start)}$${nameOfParameter(token)}`
    at = token.endExclusive
  }
  return out + expression.slice(at)
}

interface Travel extends Pick<TravelRef, 'unit' | 'expression'> {
  readonly endExclusive: number
}

/** What follows a table's name when it asks for a version. */
function travelAfter(text: string, tokens: readonly Token[], at: number): Travel | undefined {
  const cursor = new Cursor(text, tokens, [], at + 1)
  const name = tokens[at]
  const next = cursor.peek()
  if (
    next?.kind === 'symbol' &&
    next.value === '@' &&
    name &&
    next.start === name.endExclusive &&
    cursor.peek(1)?.kind !== 'symbol'
  )
    return atSign(cursor)
  if (cursor.accept('at', '(')) return atClause(cursor)
  cursor.accept('for')
  const unit = cursor.accept('version', 'as', 'of') ? 'version' : cursor.accept('timestamp', 'as', 'of') ? 'timestamp' : undefined
  if (!unit) return undefined
  const first = cursor.peek()
  const isTyped = first?.kind === 'word' && ['timestamp', 'timestamptz', 'date'].includes(first.value)
  if (first?.kind === 'symbol' && first.value === '(')
    throw new DeltaError(
      'SQL_INVALID',
      'an expression here goes into AT (…)',
      { position: first.start },
      { hint: 'write t AT (TIMESTAMP => expression)' },
    )
  if (!first || !(isTyped || ['number', 'string', 'parameter'].includes(first.kind)))
    throw cursor.unexpected('a number, a string or a parameter')
  cursor.next('a value')
  const last = isTyped ? cursor.next('a time in quotes') : first
  return { unit, expression: text.slice(first.start, last.endExclusive), endExclusive: last.endExclusive }
}

/** `t@v12`, `t@20261101103000000`. */
function atSign(cursor: Cursor) {
  cursor.next('@')
  const token = cursor.next('a version')
  const version = /^v(\d+)$/.exec(token.value)?.[1]
  if (version) return { unit: 'version' as const, expression: version, endExclusive: token.endExclusive }
  const time = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d{3})$/.exec(token.value)
  if (!time) throw new DeltaError('SQL_INVALID', 'expected @v and a version, or @yyyyMMddHHmmssSSS', { found: token.text })
  const [, year, month, day, hour, minute, second, ms] = time
  return {
    unit: 'timestamp' as const,
    expression: `'${year}-${month}-${day} ${hour}:${minute}:${second}.${ms}'`,
    endExclusive: token.endExclusive,
  }
}

/** `AT (VERSION => 3)`; the words before it are taken. */
function atClause(cursor: Cursor) {
  const unit = cursor.accept('version') ? 'version' : cursor.accept('timestamp') ? 'timestamp' : undefined
  if (!unit || !cursor.accept('=', '>')) return undefined
  const expression = cursor.textUntil('an expression', () => false)
  const close = cursor.next(')')
  return { unit: unit as TravelRef['unit'], expression, endExclusive: close.endExclusive }
}

function isName(token: Token | undefined): token is Token {
  return token?.kind === 'word' || token?.kind === 'quoted'
}

function isDot(token: Token | undefined): boolean {
  return token?.kind === 'symbol' && token.value === '.'
}

function nameOf(token: Token): string {
  return token.kind === 'word' ? token.text : token.value
}
