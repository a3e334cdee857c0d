import { COMPARISONS } from '../engine/comparisons.js'
import { literal } from '../engine/sql-text.js'
import { physicalName } from '../protocol/column-mapping.js'
import { constantOf } from './constants.js'
import { digitsOf, type SyntaxNode } from './syntax-tree.js'
import { type ColumnPath, columnOf, decimalText, isFloating, type PrunableColumns } from './terms.js'

/** Functions whose answer depends on their arguments alone. */
const FUNCTIONS = new Set(
  (
    'year month day hour minute second quarter week weekday dayofweek dayofyear isodow yearweek date_trunc date_part strftime last_day ' +
    'lower upper length substring substr left right starts_with prefix suffix contains trim ltrim rtrim replace concat reverse ' +
    'abs sign floor ceil + - * % || ~~ !~~ ~~* !~~*'
  ).split(' '),
)
const TYPES = new Set([
  'TINYINT',
  'SMALLINT',
  'INTEGER',
  'BIGINT',
  'VARCHAR',
  'BOOLEAN',
  'DATE',
  'TIMESTAMP',
  'TIMESTAMP WITH TIME ZONE',
])

/**
 * A predicate about partition columns alone, worked out for the values of a file: false where it holds for no row, as all
 * have the same values. `undefined` for any other predicate, and for what might be worked out differently here.
 */
export function onPartitions(predicate: SyntaxNode, columns: PrunableColumns): string | undefined {
  const used = new Map<string, ColumnPath>()
  const sql = print(predicate)
  if (sql === undefined || used.size === 0) return undefined
  const found = [...used.values()]
  // Text that could not be read stands in the relation as NULL, which it is not.
  const unreadable = found
    .filter(({ leaf }) => leaf.type !== 'string')
    .map((column) => `(${column.partition} IS NULL AND ${textOf(column)} <> '')`)
  const known = found.map(({ partition }) => `${partition} IS NOT NULL`).join(' AND ')
  return `(${[`coalesce(TRY(${sql}), ${known})`, ...unreadable].join(' OR ')})`

  function textOf({ leaf }: ColumnPath): string {
    return `coalesce("partitionValues"[${literal(physicalName(leaf, columns.mapping))}], '')`
  }

  function print(node: SyntaxNode | undefined): string | undefined {
    if (!node) return undefined
    const column = columnOf(node, columns)
    if (column) {
      const { leaf, isPartition, partition } = column
      if (!isPartition || isFloating(leaf.type) || leaf.type === 'binary') return undefined
      used.set(partition, column)
      return partition
    }
    const children = () => all((node['children'] ?? []) as readonly SyntaxNode[])
    const type = String(node['type'])
    switch (node['class']) {
      case 'CONSTANT':
        return constantText(node)
      case 'CAST': {
        const { id } = node['cast_type'] as { readonly id: string }
        const inner = print(node['child'] as SyntaxNode)
        return inner !== undefined && TYPES.has(id) ? `CAST(${inner} AS ${id})` : undefined
      }
      case 'FUNCTION': {
        const args = FUNCTIONS.has(String(node['function_name'])) ? children() : undefined
        return args && `"${String(node['function_name'])}"(${args.join(', ')})`
      }
      case 'COMPARISON': {
        const sides = all([node['left'], node['right']] as SyntaxNode[])
        return sides && COMPARISONS[type] ? `(${sides.join(` ${COMPARISONS[type]} `)})` : undefined
      }
      case 'BETWEEN': {
        const [input, lower, upper] = all([node['input'], node['lower'], node['upper']] as SyntaxNode[]) ?? []
        return input === undefined ? undefined : `(${input} BETWEEN ${lower} AND ${upper})`
      }
      case 'CONJUNCTION': {
        const parts = children()
        return parts && `(${parts.join(type === 'CONJUNCTION_AND' ? ' AND ' : ' OR ')})`
      }
      case 'OPERATOR':
        return operator(type, children())
      default:
        return undefined
    }
  }

  function all(nodes: readonly SyntaxNode[]): string[] | undefined {
    const printed = nodes.map(print)
    return printed.every((text) => text !== undefined) ? (printed as string[]) : undefined
  }
}

function operator(type: string, children: readonly string[] | undefined): string | undefined {
  const [first, ...others] = children ?? []
  if (first === undefined) return undefined
  if (type === 'OPERATOR_NOT') return `(NOT ${first})`
  if (type === 'OPERATOR_IS_NULL') return `(${first} IS NULL)`
  if (type === 'OPERATOR_IS_NOT_NULL') return `(${first} IS NOT NULL)`
  if (type === 'COMPARE_IN' && others.length > 0) return `(${first} IN (${others.join(', ')}))`
  return type === 'COMPARE_NOT_IN' && others.length > 0 ? `(${first} NOT IN (${others.join(', ')}))` : undefined
}

function constantText(node: SyntaxNode): string | undefined {
  const { id, isNull, value, scale } = constantOf(node) as NonNullable<ReturnType<typeof constantOf>>
  if (isNull) return 'NULL'
  if (id === 'VARCHAR') return typeof value === 'string' ? literal(value) : undefined
  if (id === 'BOOLEAN') return String(value)
  if (id === 'DECIMAL') return decimalText(digitsOf(value), scale)
  return id === 'INTEGER' || id === 'BIGINT' ? digitsOf(value) : undefined
}
