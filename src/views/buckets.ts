import type { Database } from '../engine/database.js'
import { ident, literal } from '../engine/sql-text.js'
import { readQuery } from '../sql/query-text.js'
import { parseQuery, type SyntaxNode } from '../sql/syntax-tree.js'
import { Printer } from './expressions.js'
import type { GroupsPlan, ViewPlan } from './plan.js'

const BUCKET_COLUMN = '_bucket'

/** The view that holds the states of another one for each stretch of event time. */
export function bucketsName(view: string): string {
  return `${view}__buckets`
}

/** Whether states of a view can be summed up over stretches of event time. */
export function hasBuckets({ groups, event }: ViewPlan): boolean {
  return groups !== undefined && event !== undefined && groups.states.every(({ kind }) => kind !== 'opaque')
}

/** A definition that groups by stretches of event time too. */
export async function bucketsDefinition(database: Database, definition: string, asOf: string, bucket: string): Promise<string> {
  const column = asOf.split('.').map(ident).join('.')
  const tree = await parseQuery(database, readQuery(definition).text)
  const added = await parseQuery(database, `SELECT time_bucket(INTERVAL ${literal(bucket)}, ${column}) AS ${BUCKET_COLUMN}`)
  const [item] = nodeOf(added)['select_list'] as readonly SyntaxNode[]
  const node = nodeOf(tree)
  const groups = (node['group_expressions'] ?? []) as readonly SyntaxNode[]
  const isImplied = node['aggregate_handling'] !== 'STANDARD_HANDLING' || isDistinct(node)
  return new Printer(database, tree).query({
    ...node,
    modifiers: ((node['modifiers'] ?? []) as readonly SyntaxNode[]).filter(({ type }) => type !== 'ORDER_MODIFIER'),
    select_list: [...(node['select_list'] as readonly SyntaxNode[]), item],
    ...(isImplied
      ? {}
      : { group_expressions: [...groups, { ...item, alias: '' }], group_sets: [[...groups.map((_, at) => at), groups.length]] }),
  })
}

/** Whether the states of buckets are those of the view, and its keys but for the bucket. */
export function isBucketsOf(view: GroupsPlan, buckets: GroupsPlan | undefined): buckets is GroupsPlan {
  return (
    buckets !== undefined &&
    buckets.keys.length === view.keys.length + 1 &&
    buckets.keys.at(-1)?.name === BUCKET_COLUMN &&
    buckets.states.length === view.states.length &&
    buckets.states.every(({ merge, type }, at) => merge === view.states[at]?.merge && type === view.states[at]?.type)
  )
}

function isDistinct(node: SyntaxNode): boolean {
  return ((node['modifiers'] ?? []) as readonly SyntaxNode[]).some(({ type }) => type === 'DISTINCT_MODIFIER')
}

function nodeOf(tree: SyntaxNode): SyntaxNode {
  const [statement] = tree['statements'] as readonly { readonly node: SyntaxNode }[]
  return statement?.node ?? {}
}
