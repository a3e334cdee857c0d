import type { SyntaxNode } from './syntax-tree.js'

/** A constant of a parsed query. */
export interface Constant {
  readonly id: string
  readonly scale: number
  readonly isNull: boolean
  readonly value: unknown
}

export function constantOf(node: SyntaxNode): Constant | undefined {
  if (node['class'] !== 'CONSTANT') return undefined
  const { type, is_null, value } = node['value'] as {
    readonly type: { readonly id: string; readonly type_info: { readonly scale?: number } | null }
    readonly is_null: boolean
    readonly value: unknown
  }
  return { id: type.id, scale: type.type_info?.scale ?? 0, isNull: is_null, value }
}
