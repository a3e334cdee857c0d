import { COMPARISONS } from '../engine/comparisons.js'
import { findField, type StructType } from '../protocol/schema.js'
import { constantOf } from './constants.js'
import { digitsOf, type SyntaxNode } from './syntax-tree.js'
import { type Token, tokenize } from './tokens.js'

/** A query of one table for rows of which columns compare with constants; these are all constants that it has. */
export interface Lookup {
  /** Of its text; see `MaskedText`. */
  readonly shape: string
  /** Comparisons of a column with a constant, in the order of the text; rows satisfy them all. */
  readonly comparisons: readonly SyntaxNode[]
}

/** A text without the value of its constants: queries alike in `shape` have trees that differ in those constants alone. */
export interface MaskedText {
  readonly shape: string
  readonly constants: readonly Token[]
}

const TEXT_LENGTH_MAX = 4096
const MARK = '\0'
/** Longer ones are not kept as numbers in a tree. */
const INTEGER = /^\d{1,15}$/
const INT32_MAX = 2 ** 31 - 1

/** `undefined` for a text that is too long, or has no constants. */
export function masked(text: string): MaskedText | undefined {
  if (text.length > TEXT_LENGTH_MAX || text.includes(MARK)) return undefined
  const constants = tokenize(text).filter((token) => typeOf(token) !== undefined)
  if (constants.length === 0) return undefined
  let [shape, at] = ['', 0]
  for (const token of constants) {
    shape += `${text.slice(at, token.start)}${MARK}${typeOf(token)}`
    at = token.endExclusive
  }
  return { shape: shape + text.slice(at), constants }
}

/** The lookup that a parsed query is, if it is one. */
export function lookupOf(tree: SyntaxNode, { shape, constants }: MaskedText): Lookup | undefined {
  const [statement] = tree['statements'] as readonly { readonly node: SyntaxNode }[]
  const node = statement?.node
  const where = node?.['where_clause'] as SyntaxNode | null | undefined
  const from = node?.['from_table'] as SyntaxNode | undefined
  if (node?.['type'] !== 'SELECT_NODE' || from?.['type'] !== 'BASE_TABLE' || !where) return undefined
  const aside = [(node['cte_map'] as SyntaxNode | undefined)?.['map'], from['column_name_alias']].flatMap((list) => list ?? [])
  const comparisons = where['type'] === 'CONJUNCTION_AND' ? (where['children'] as readonly SyntaxNode[]) : [where]
  const isLookup =
    aside.length === 0 &&
    !from['sample'] &&
    !node['sample'] &&
    comparisons.length === constants.length &&
    comparisons.every((one, at) => sidesOf(one) && isOf(sidesOf(one)?.constant, constants[at]))
  return isLookup ? { shape, comparisons } : undefined
}

/** The same lookup for other constants, of a text of the same shape. */
export function withConstants({ comparisons }: Lookup, { shape, constants }: MaskedText): Lookup {
  return {
    shape,
    comparisons: comparisons.map((one, at) => {
      const [sides, token] = [sidesOf(one), constants[at]]
      if (!sides || !token) return one
      const { constant, side } = sides
      const value = typeOf(token) === 'VARCHAR' ? token.value : Number(token.value)
      return { ...one, [side]: { ...constant, value: { ...(constant['value'] as SyntaxNode), value } } }
    }),
  }
}

/** The columns that it looks at, in lower case, where each compares with constants of its own kind, so that no value is converted. */
export function lookupColumns({ comparisons }: Lookup, schema: StructType): readonly string[] | undefined {
  const names = comparisons.map((one) => {
    const sides = sidesOf(one)
    const type = sides && findField(schema, sides.column)?.type
    const isText = sides && constantOf(sides.constant)?.id === 'VARCHAR'
    return type !== undefined && (isText ? type === 'string' : WHOLE.has(String(type))) ? sides?.column.toLowerCase() : undefined
  })
  return names.every((name) => name !== undefined) ? names : undefined
}

const WHOLE: ReadonlySet<string> = new Set(['byte', 'short', 'integer', 'long'])

interface Sides {
  readonly column: string
  readonly constant: SyntaxNode
  /** Where in the comparison the constant stands. */
  readonly side: 'left' | 'right'
}

function sidesOf(node: SyntaxNode): Sides | undefined {
  if (COMPARISONS[String(node['type'])] === undefined) return undefined
  for (const [other, side] of [['left', 'right'] as const, ['right', 'left'] as const]) {
    const [column, constant] = [node[other] as SyntaxNode, node[side] as SyntaxNode]
    const names = column['class'] === 'COLUMN_REF' ? (column['column_names'] as readonly string[]) : []
    if (names.length === 1 && constantOf(constant)) return { column: String(names[0]), constant, side }
  }
  return undefined
}

/** Whether a constant of the tree is what this token says. */
function isOf(node: SyntaxNode | undefined, token: Token | undefined): boolean {
  const constant = node && constantOf(node)
  if (!constant || !token || constant.isNull || constant.id !== typeOf(token)) return false
  return constant.id === 'VARCHAR' ? constant.value === token.value : digitsOf(constant.value) === String(Number(token.value))
}

/** The type that the parser gives to a constant. */
function typeOf({ kind, text, value }: Token): string | undefined {
  if (kind === 'string') return text.startsWith("'") ? 'VARCHAR' : undefined
  if (kind !== 'number' || !INTEGER.test(value)) return undefined
  return Number(value) <= INT32_MAX ? 'INTEGER' : 'BIGINT'
}
