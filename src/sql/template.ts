import type { Database } from '../engine/database.js'
import { checkAllowed } from './allow-list.js'
import { readQuery, type TravelRef } from './query-text.js'
import { parseQuery, printQuery, type SyntaxNode } from './syntax-tree.js'

/** A table that a query names. */
export interface TemplateTable {
  /** The name that the rewritten query gives it. */
  readonly standIn: string
  /** The name that the user gave it. */
  readonly name: string
  /** `''`, or `delta` when `name` is a location. */
  readonly schema: string
  readonly travel: TravelRef | undefined
  /** A WITH clause defines this name too, so it need not be a table. */
  readonly isCteToo: boolean
}

/** A query that has been parsed and checked, with a stand-in for every table it names. It depends on the text alone. */
export interface QueryTemplate {
  readonly text: string
  /** What the caller calls the parameters `$1`, `$2`, … of `text`. */
  readonly parameters: readonly string[]
  readonly tables: readonly TemplateTable[]
}

/**
 * Reads a query.
 *
 * @throws {DeltaError} `SQL_INVALID` with the position marked, `SQL_FORBIDDEN`.
 */
export async function readTemplate(planner: Database, text: string): Promise<QueryTemplate> {
  const query = readQuery(text)
  const tree = await parseQuery(planner, query.text)
  const references = checkAllowed(tree)
  const tables = new Map<string, TemplateTable>()
  let rewritten = false
  for (const reference of references.tables) {
    const travel = query.travels.find((ref) => ref.marker === reference.name)
    const schema = plainSchema(travel ? (travel.schema ?? '') : reference.schema)
    const name = travel?.name ?? reference.name
    const key = travel ? travel.marker : JSON.stringify([schema, name.toLowerCase()])
    const isCteToo = !travel && reference.schema === '' && references.ctes.has(name.toLowerCase())
    const standIn = tables.get(key)?.standIn ?? travel?.marker ?? (reference.schema === '' ? name : `__table_${tables.size}`)
    if (!tables.has(key)) tables.set(key, { standIn, name, schema, travel, isCteToo })
    if (travel || reference.schema !== '') {
      rename(reference.node, standIn, name)
      rewritten = true
    }
  }
  return {
    text: rewritten ? await printQuery(planner, tree) : query.text,
    parameters: query.parameters,
    tables: [...tables.values()],
  }
}

/** Tables of a lakehouse have no schema; these two names are what other engines call that. */
function plainSchema(schema: string): string {
  const lower = schema.toLowerCase()
  return lower === 'main' || lower === 'default' ? '' : lower
}

/** References keep the name that the query's other parts know the table by. */
function rename(node: SyntaxNode, standIn: string, alias: string): void {
  const target = node as Record<string, unknown>
  target['schema_name'] = ''
  target['table_name'] = standIn
  if (target['alias'] === '') target['alias'] = alias
}
