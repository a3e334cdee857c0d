import { COMPARISONS } from '../engine/comparisons.js'
import { literal } from '../engine/sql-text.js'
import { constantOf } from './constants.js'
import { onGenerated } from './generated-columns.js'
import { onPartitions } from './partition-sql.js'
import type { SyntaxNode } from './syntax-tree.js'
import { type ColumnPath, columnOf, constantFor, type PrunableColumns, type Term, termOf } from './terms.js'

/** What a file can be known by not to hold a wanted row. */
export type SkipReason = 'partition' | 'generated' | 'statistics'

export const SKIP_REASONS: readonly SkipReason[] = ['partition', 'generated', 'statistics']

/** Keeps the file. */
const MAY = 'TRUE'

/**
 * A condition over the files relation which is false only for files that hold no row satisfying `predicate`. Pure.
 *
 * False is a proof, true is not: whatever is not understood keeps the file, so skipping changes what is read and never
 * what is returned.
 *
 * @param reasons what may be concluded from. All by default.
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#per-file-statistics
 */
export function mayMatch(predicate: SyntaxNode, columns: PrunableColumns, reasons: readonly SkipReason[] = SKIP_REASONS): string {
  return new Pruning(columns, reasons).mayMatch(predicate)
}

class Pruning {
  private readonly columns: PrunableColumns
  private readonly reasons: readonly SkipReason[]

  constructor(columns: PrunableColumns, reasons: readonly SkipReason[]) {
    this.columns = columns
    this.reasons = reasons
  }

  mayMatch(predicate: SyntaxNode): string {
    const onValues = onPartitions(predicate, this.columns)
    if (onValues !== undefined) return this.reasons.includes('partition') ? onValues : MAY
    const type = String(predicate['type'])
    const children = (predicate['children'] ?? []) as readonly SyntaxNode[]
    const [first, ...others] = children
    switch (type) {
      case 'CONJUNCTION_AND':
        return all(children.map((child) => this.mayMatch(child)))
      case 'CONJUNCTION_OR':
        return any(children.map((child) => this.mayMatch(child)))
      case 'COMPARE_BETWEEN':
        return all(ends(predicate).map((end) => this.mayMatch(end)))
      case 'COMPARE_IN':
        return first && others.length > 0 ? any(others.map((value) => this.comparison('=', first, value))) : MAY
      case 'COMPARE_NOT_IN':
        return first ? all(others.map((value) => this.comparison('<>', first, value))) : MAY
      case 'COMPARE_NOT_DISTINCT_FROM':
        return this.comparison('=', predicate['left'] as SyntaxNode, predicate['right'] as SyntaxNode)
      case 'OPERATOR_IS_NULL':
        return this.nullness(first, (nulls) => `${nulls} > 0`)
      case 'OPERATOR_IS_NOT_NULL':
        return this.nullness(first, (nulls) => `${nulls} < stat."numRecords"`)
      case 'OPERATOR_NOT': {
        const negated = first && negation(first)
        return negated ? this.mayMatch(negated) : MAY
      }
      case 'FUNCTION':
        return ['starts_with', 'prefix', '^@'].includes(String(predicate['function_name'])) ? this.prefix(children) : MAY
      default: {
        const sign = SIGNS[type]
        return sign ? this.comparison(sign, predicate['left'] as SyntaxNode, predicate['right'] as SyntaxNode) : MAY
      }
    }
  }

  private comparison(sign: string, left: SyntaxNode, right: SyntaxNode): string {
    const term = termOf(left, this.columns)
    const value = term && constantFor(right, term)
    if (term && value) return this.bounds(sign, term, value)
    const mirrored = termOf(right, this.columns)
    const constant = mirrored && constantFor(left, mirrored)
    return mirrored && constant ? this.bounds(MIRRORED[sign] ?? sign, mirrored, constant) : MAY
  }

  private bounds(sign: string, term: Term, value: string): string {
    const generated =
      this.reasons.includes('generated') && sign !== '<>' ? onGenerated(sign, term, value, this.columns) : undefined
    const own = this.reasons.includes(term.column.isPartition ? 'partition' : 'statistics') ? ownBounds(sign, term, value) : MAY
    return all([generated ?? MAY, own])
  }

  /** A partition value that reads as NULL may be text that could not be read, so partitions are kept. */
  private nullness(node: SyntaxNode | undefined, condition: (nulls: string) => string): string {
    const column = node && columnOf(node, this.columns)
    return column && !column.isPartition && this.reasons.includes('statistics') ? proof(condition(column.nulls)) : MAY
  }

  private prefix([text, start]: readonly SyntaxNode[]): string {
    const term = text && termOf(text, this.columns)
    const prefix = start && constantOf(start)?.value
    if (!term || term.column.isPartition || term.type !== 'string' || typeof prefix !== 'string') return MAY
    if (!this.reasons.includes('statistics')) return MAY
    const value = literal(prefix)
    return all([proof(`${term.high} >= ${value}`), proof(`left(${term.low}, ${[...prefix].length}) <= ${value}`)])
  }
}

function ownBounds(sign: string, { low, high, isFloating, column }: Term, value: string): string {
  // Of a partition both bounds are its one value.
  if (column.isPartition) return proof(`${low} ${sign} ${value}`)
  if (sign === '<>') return isFloating ? MAY : proof(`NOT (${low} = ${value} AND ${high} = ${value})`, column)
  const below = proof(`${low} ${sign === '<' ? '<' : '<='} ${value}`, column)
  const above = proof(`${high} ${sign === '>' ? '>' : '>='} ${value}`, column)
  // NaN is greater than everything, and writers differ on whether bounds tell of it.
  if (sign === '=') return all([below, above])
  return sign.startsWith('<') ? below : isFloating ? MAY : above
}

/** Comparisons that no NULL satisfies. */
const SIGNS: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(COMPARISONS).filter(([, sign]) => !sign.includes('DISTINCT')),
)
const MIRRORED: Readonly<Record<string, string>> = { '<': '>', '<=': '>=', '>': '<', '>=': '<=' }

/** What a negated predicate says by another name: both are false, or NULL, for the same rows. */
const NEGATED: Readonly<Record<string, string>> = {
  COMPARE_EQUAL: 'COMPARE_NOTEQUAL',
  COMPARE_NOTEQUAL: 'COMPARE_EQUAL',
  COMPARE_LESSTHAN: 'COMPARE_GREATERTHANOREQUALTO',
  COMPARE_LESSTHANOREQUALTO: 'COMPARE_GREATERTHAN',
  COMPARE_GREATERTHAN: 'COMPARE_LESSTHANOREQUALTO',
  COMPARE_GREATERTHANOREQUALTO: 'COMPARE_LESSTHAN',
  COMPARE_DISTINCT_FROM: 'COMPARE_NOT_DISTINCT_FROM',
  COMPARE_IN: 'COMPARE_NOT_IN',
  COMPARE_NOT_IN: 'COMPARE_IN',
  OPERATOR_IS_NULL: 'OPERATOR_IS_NOT_NULL',
  OPERATOR_IS_NOT_NULL: 'OPERATOR_IS_NULL',
}

/** A predicate that is true where `node` is false. */
export function negation(node: SyntaxNode): SyntaxNode | undefined {
  const type = String(node['type'])
  const children = (node['children'] ?? []) as readonly SyntaxNode[]
  if (type === 'OPERATOR_NOT') return children[0]
  if (NEGATED[type]) return { ...node, type: NEGATED[type] }
  const joined = { CONJUNCTION_AND: 'CONJUNCTION_OR', CONJUNCTION_OR: 'CONJUNCTION_AND', COMPARE_BETWEEN: 'CONJUNCTION_OR' }[type]
  const parts = type === 'COMPARE_BETWEEN' ? ends(node) : children
  const negated = (child: SyntaxNode): SyntaxNode => ({ class: 'OPERATOR', type: 'OPERATOR_NOT', children: [child] })
  return joined === undefined ? undefined : { class: 'CONJUNCTION', type: joined, children: parts.map(negated) }
}

/** The two comparisons that BETWEEN is made of. */
function ends({ input, lower, upper }: SyntaxNode): readonly SyntaxNode[] {
  const compare = (type: string, right: unknown): SyntaxNode => ({ class: 'COMPARISON', type, left: input, right })
  return [compare('COMPARE_GREATERTHANOREQUALTO', lower), compare('COMPARE_LESSTHANOREQUALTO', upper)]
}

function all(conditions: readonly string[]): string {
  const parts = [...new Set(conditions)].filter((condition) => condition !== MAY)
  return parts.length > 1 ? `(${parts.join(' AND ')})` : (parts[0] ?? MAY)
}

function any(conditions: readonly string[]): string {
  return conditions.includes(MAY) || conditions.length === 0 ? MAY : `(${conditions.join(' OR ')})`
}

/** NULL (no statistics, or text that could not be read) is no proof, unless the file has nothing but NULL in the column. */
function proof(condition: string, column?: ColumnPath): string {
  return `coalesce(${condition}, ${column ? `${column.nulls} <> stat."numRecords", ` : ''}TRUE)`
}
