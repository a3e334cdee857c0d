import { DeltaError } from '../base/errors.js'
import type { Session } from '../engine/database.js'
import { duckdbType } from '../engine/types.js'
import { parseType } from '../protocol/type-text.js'
import type { SyntaxNode } from '../sql/syntax-tree.js'
import type { Printer } from './expressions.js'
import type { PlanColumn } from './plan.js'

/** What a definition is worked out with. */
export interface Derivation {
  readonly tree: SyntaxNode
  /** The definition's own node, its tables named by placeholders. */
  readonly node: SyntaxNode
  readonly printer: Printer
  readonly session: Session
  /** The column that says when a row happened. */
  readonly asOf: readonly string[] | undefined
  readonly isAggregate: (node: SyntaxNode) => boolean
}

/** A column as Delta keeps it. */
export function storedColumn({ name, type }: PlanColumn): PlanColumn {
  return { name, type: duckdbType(parseType(type, 'duckdb')) }
}

/** What cannot be a view, or is not asked of one so. */
export function invalid(message: string, hint: string, details: Readonly<Record<string, string>> = {}): DeltaError {
  return new DeltaError('VIEW_INVALID', message, details, { hint })
}
