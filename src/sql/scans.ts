import { type PlanJoin, readJoins } from './plan-joins.js'
import type { PlanNode, TableScan } from './plan-node.js'

/** What the tables of a plan are read for. */
export interface PlanRead {
  readonly scans: readonly TableScan[]
  readonly joins: readonly PlanJoin[]
}

/** Reads the scans and joins out of DuckDB's `EXPLAIN (FORMAT JSON)`; `undefined` when the plan has another shape than known. */
export function readPlan(json: string): PlanRead | undefined {
  try {
    const scans = new Map<PlanNode, TableScan>()
    const roots = JSON.parse(json) as readonly PlanNode[]
    for (const root of roots) collect(root, [], scans)
    return { scans: [...scans.values()], joins: readJoins(roots, scans) }
  } catch {
    return undefined
  }
}

function collect(node: PlanNode, above: readonly PlanNode[], scans: Map<PlanNode, TableScan>): void {
  const name = nameOf(node)
  if (name === 'SEQ_SCAN' || name === 'TABLE_SCAN') {
    const own = texts(node.extra_info['Filters'])
    // A filter right above a scan is about the scan's own columns.
    const [next] = above
    const passed = texts(next && nameOf(next) === 'FILTER' ? next.extra_info['Expression'] : undefined)
    const [filters, further] = [conditions(own), conditions(passed)]
    const usable = filters.map(settled).filter((filter) => filter !== '')
    scans.set(node, {
      table: lastName(String(node.extra_info['Table'] ?? '')),
      columns: columnsOf(node, own),
      isFiltered: own.length > 0,
      filters: [...usable, ...further],
      isWhole: filters.length === own.length && further.length === passed.length,
      above: above.map(nameOf),
      projections: texts(node.extra_info['Projections']).map((name) => name.replace(/^"|"$/g, '')),
    })
    return
  }
  for (const child of node.children) collect(child, [node, ...above], scans)
}

/** A filter without what is only known while the query runs. Names in it are words, or the filter is not used. */
function settled(filter: string): string {
  return filter.replace(/'(?:[^']|'')*'|(?: AND |^)optional: Dynamic Filter \([^)]*\)|optional: /g, (part) =>
    part.startsWith("'") ? part : '',
  )
}

function nameOf({ name }: PlanNode): string {
  return name.trim()
}

/** The projection, and every word of the filters: more columns than needed do no harm. */
function columnsOf(node: PlanNode, filters: readonly string[]): ReadonlySet<string> | undefined {
  const projections = node.extra_info['Projections']
  if (projections === undefined) return undefined
  const words = filters.flatMap((filter) => filter.match(/[\p{L}_][\p{L}\p{N}_]*/gu) ?? [])
  return new Set([...texts(projections), ...words].map((name) => name.replace(/^"|"$/g, '').toLowerCase()))
}

/**
 * Conditions that are whole. They come cut at every line break, those inside of strings too, and a piece of a string may
 * look like a condition: what lies between two pieces with an odd number of quotes is left out.
 */
function conditions(pieces: readonly string[]): readonly string[] {
  let isInString = false
  return pieces.filter((piece) => {
    const wasInString = isInString
    if ((piece.split("'").length - 1) % 2 === 1) isInString = !isInString
    return !wasInString && !isInString
  })
}

function texts(value: string | readonly string[] | undefined): readonly string[] {
  if (value === undefined || value === '') return []
  return typeof value === 'string' ? [value] : value
}

/** `"temp".main."my table"` → `my table`. */
function lastName(qualified: string): string {
  const parts = qualified.match(/"(?:[^"]|"")*"|[^.]+/g) ?? []
  const last = parts.at(-1) ?? ''
  return last.startsWith('"') ? last.slice(1, -1).replaceAll('""', '"') : last
}
