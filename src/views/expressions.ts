import type { Database } from '../engine/database.js'
import { printQuery, type SyntaxNode } from '../sql/syntax-tree.js'

/** Whether two expressions are written alike, but for their aliases. */
export function sameExpression(a: unknown, b: unknown): boolean {
  return canonical(a) === canonical(b)
}

function canonical(node: unknown): string {
  return JSON.stringify(node, (key, value: unknown) => (key === 'query_location' || key === 'alias' ? undefined : value))
}

/** A copy in which `replace` stands in for nodes, from the outside in. */
export function rewrite(node: unknown, replace: (node: SyntaxNode) => SyntaxNode | undefined): unknown {
  if (Array.isArray(node)) return node.map((child) => rewrite(child, replace))
  if (typeof node !== 'object' || node === null) return node
  const replaced = replace(node as SyntaxNode)
  if (replaced) return replaced
  return Object.fromEntries(Object.entries(node).map(([key, child]) => [key, rewrite(child, replace)]))
}

/** Whether some node below satisfies a condition. */
export function some(node: unknown, holds: (node: SyntaxNode) => boolean): boolean {
  if (Array.isArray(node)) return node.some((child) => some(child, holds))
  if (typeof node !== 'object' || node === null) return false
  return holds(node as SyntaxNode) || Object.values(node).some((child) => some(child, holds))
}

export function columnRef(...names: readonly string[]): SyntaxNode {
  return { class: 'COLUMN_REF', type: 'COLUMN_REF', alias: '', column_names: names }
}

/** The name of a column that is not qualified. */
export function plainName(node: SyntaxNode): string | undefined {
  const names = node['column_names'] as readonly string[] | undefined
  return node['class'] === 'COLUMN_REF' && names?.length === 1 ? names[0] : undefined
}

/** Prints queries and parts of them. */
export class Printer {
  private readonly database: Database
  private readonly tree: SyntaxNode

  /** @param tree of the query that the parts come from. */
  constructor(database: Database, tree: SyntaxNode) {
    this.database = database
    this.tree = tree
  }

  /** A query node as text. */
  query(node: SyntaxNode): Promise<string> {
    const [statement] = this.tree['statements'] as readonly SyntaxNode[]
    return printQuery(this.database, { ...this.tree, statements: [{ ...statement, node }] })
  }

  async expression(expression: SyntaxNode): Promise<string> {
    const text = await this.query(selectNode([{ ...expression, alias: '' }]))
    return text.replace(/^SELECT /, '')
  }
}

/** `*` */
export const STAR: SyntaxNode = {
  class: 'STAR',
  type: 'STAR',
  alias: '',
  relation_name: '',
  exclude_list: [],
  replace_list: [],
  columns: false,
  expr: null,
  qualified_exclude_list: [],
  rename_list: [],
}

/** `SELECT list`, without anything else. */
export function selectNode(list: readonly SyntaxNode[], clauses: SyntaxNode = {}): SyntaxNode {
  return {
    type: 'SELECT_NODE',
    modifiers: [],
    cte_map: { map: [] },
    select_list: list,
    from_table: { type: 'EMPTY', alias: '', sample: null },
    where_clause: null,
    group_expressions: [],
    group_sets: [],
    aggregate_handling: 'STANDARD_HANDLING',
    having: null,
    sample: null,
    qualify: null,
    ...clauses,
  }
}
