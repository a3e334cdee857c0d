import { DeltaError } from '../base/errors.js'
import type { Database } from '../engine/database.js'
import { checkCopies } from './copies.js'
import { mark } from './cursor.js'

/** A node of DuckDB's parsed statement, as `json_serialize_sql` gives it. */
export interface SyntaxNode {
  readonly [key: string]: unknown
}

/**
 * Parses one query. Whole numbers beyond 15 digits are kept as text, so that none loses digits (see `digitsOf`).
 *
 * @throws {DeltaError} `SQL_INVALID` with the position marked; `SQL_FORBIDDEN` for what is not one query, or too much of one.
 */
export async function parseQuery(database: Database, text: string): Promise<SyntaxNode> {
  const [row] = await database.ask<{ tree: string }>('SELECT json_serialize_sql($1::VARCHAR)::VARCHAR AS tree', [text])
  const json = row?.tree ?? '{}'
  if (BEYOND_NUMBERS.test(json))
    throw new DeltaError(
      'SQL_INVALID',
      'a number is beyond what a DOUBLE holds',
      {},
      { hint: "write 'Infinity'::DOUBLE where infinity is meant" },
    )
  const tree = JSON.parse(keepDigits(json)) as ParsedQuery
  if (tree.error) {
    if (tree.error_type === 'not implemented') throw new DeltaError('SQL_FORBIDDEN', 'only queries are allowed here')
    const position = Number(tree.position ?? Number.NaN)
    const where = Number.isFinite(position) ? mark(text, position, undefined).replace(' at the end', '') : ''
    throw new DeltaError(
      'SQL_INVALID',
      `${tree.error_message ?? 'the query cannot be parsed'}${where}`,
      Number.isFinite(position) ? { position } : {},
    )
  }
  if (tree.statements?.length !== 1) throw new DeltaError('SQL_FORBIDDEN', 'only one query is allowed here')
  checkCopies(text, tree)
  return tree as unknown as SyntaxNode
}

/** The text of a parsed query. */
export async function printQuery(database: Database, tree: SyntaxNode): Promise<string> {
  const json = restoreDigits(JSON.stringify(tree, withoutLocations))
  const [row] = await database.ask<{ text: string }>('SELECT json_deserialize_sql($1::JSON) AS text', [json])
  return row?.text ?? ''
}

/** Calls `visit` for every object of the tree, parents first. */
export function walk(node: unknown, visit: (node: SyntaxNode) => void): void {
  if (Array.isArray(node)) {
    for (const child of node) walk(child, visit)
  } else if (typeof node === 'object' && node !== null) {
    visit(node as SyntaxNode)
    for (const child of Object.values(node)) walk(child, visit)
  }
}

interface ParsedQuery {
  readonly error?: boolean
  readonly error_type?: string
  readonly error_message?: string
  readonly position?: string
  readonly statements?: readonly unknown[]
}

/** A whole number of a constant as text, however it is kept. */
export function digitsOf(value: unknown): string | undefined {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value)
  const kept = (value as { readonly digits?: unknown } | null)?.digits
  return typeof kept === 'string' ? kept : undefined
}

/** DuckDB takes such numbers for infinities, which its own trees cannot hold as JSON. */
const BEYOND_NUMBERS = /(?<!\\)"value":-?(Infinity|NaN)[,}]/

function keepDigits(json: string): string {
  return json.replace(/(?<!\\)"value":(-?\d{16,})(?=[,}])/g, '"value":{"digits":"$1"}')
}

function restoreDigits(json: string): string {
  return json.replace(/(?<!\\)"value":\{"digits":"(-?\d+)"\}/g, '"value":$1')
}

/** Places in a text that is no longer the text; the absent one is beyond what a number holds. */
function withoutLocations(key: string, value: unknown): unknown {
  return key === 'query_location' ? undefined : value
}
