import { DeltaError } from '../base/errors.js'
import { checkAllowed } from '../sql/allow-list.js'
import { mayMatch } from '../sql/pruning.js'
import { parseQuery, type SyntaxNode, walk } from '../sql/syntax-tree.js'
import type { Snapshot } from '../table/snapshot.js'
import type { RunContext } from './query-runner.js'
import { oneCondition } from './table-snapshot.js'

/**
 * A condition on a table's rows, checked to be one: it holds no query and no parameter.
 *
 * @throws {DeltaError} `SQL_INVALID`, `SQL_FORBIDDEN`, `ARGUMENT_INVALID`.
 */
export async function rowCondition(context: RunContext, where: string): Promise<string> {
  const tree = await parseQuery(context.engines.binder, `SELECT 1 WHERE (${oneCondition(where)}\n)`)
  if (checkAllowed(tree).tables.length > 0) throw holdsQuery()
  walk(tree, (node) => {
    if (node['class'] === 'SUBQUERY') throw holdsQuery()
    if (node['class'] === 'PARAMETER')
      throw new DeltaError('ARGUMENT_INVALID', 'a condition that says which rows to replace takes no parameters', { where })
  })
  return where
}

function holdsQuery(): DeltaError {
  return new DeltaError(
    'SQL_FORBIDDEN',
    'a condition that says which rows to replace holds no query',
    {},
    { hint: 'compare columns with constants' },
  )
}

const DECIDABLE = new Set(['COLUMN_REF', 'CONSTANT', 'COMPARISON', 'CONJUNCTION', 'OPERATOR', 'CAST', 'BETWEEN'])

/**
 * A condition on partitions as one over the files relation.
 *
 * @throws {DeltaError} `ARGUMENT_INVALID` when it is about another column.
 */
export async function fileCondition(context: RunContext, snapshot: Snapshot, where: string): Promise<string> {
  const tree = await parseQuery(context.engines.binder, `SELECT 1 WHERE (${where}\n)`)
  if (checkAllowed(tree).tables.length > 0)
    throw new DeltaError(
      'SQL_FORBIDDEN',
      'a condition on partitions holds no query',
      {},
      { hint: 'compare partition columns with constants' },
    )
  const [statement] = tree['statements'] as readonly { readonly node: { readonly where_clause: SyntaxNode } }[]
  const condition = statement?.node.where_clause
  if (!condition) throw new DeltaError('SQL_INVALID', 'not a condition', { where })
  // Anything else would be kept by pruning, so that more would be rewritten than was asked for.
  walk(condition, (node) => {
    const type = node['class'] === undefined ? undefined : String(node['class'])
    if (type !== undefined && !DECIDABLE.has(type))
      throw new DeltaError('ARGUMENT_INVALID', 'only comparisons with constants may choose what is optimized', {
        found: type.toLowerCase(),
      })
  })
  const partitions = snapshot.partitionColumns.map((name) => name.toLowerCase())
  walk(condition, (node) => {
    const [column] = node['class'] === 'COLUMN_REF' ? (node['column_names'] as readonly string[]) : []
    if (column !== undefined && !partitions.includes(column.toLowerCase()))
      throw new DeltaError(
        'ARGUMENT_INVALID',
        'only partition columns may choose what is optimized',
        { column },
        {
          hint:
            partitions.length === 0
              ? 'the table is not partitioned: leave the condition out'
              : `the table is partitioned by ${partitions.join(', ')}`,
        },
      )
  })
  return mayMatch(condition, snapshot)
}
