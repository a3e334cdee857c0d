import { ident } from '../engine/sql-text.js'
import { duckdbType } from '../engine/types.js'
import { findField } from '../protocol/schema.js'
import type { Snapshot } from '../table/snapshot.js'
import { typedText } from './join-keys.js'
import { mayMatch } from './pruning.js'
import type { SyntaxNode } from './syntax-tree.js'
import type { PrunableColumns } from './terms.js'

/** A column of a table that a condition wants to be equal to a column of another relation. */
export interface KeyPair {
  /** The table's own column. */
  readonly column: string
  /** The other relation's column, as the condition names it. */
  readonly key: string
}

/** What the other relation has in a key: ranges, as text, that hold all of its values. */
export interface KeyRanges {
  readonly type: string
  readonly ranges: readonly { readonly low: string; readonly high: string }[]
}

/** So many ranges tell the keys of a relation; of fewer keys each is a range of its own. */
const RANGES_MAX = 64

/**
 * The equalities that every row pair satisfying a condition satisfies, of a column of the target with one of the source. Pure.
 *
 * @param condition the parsed condition; names without a relation are the target's where it has such a column, as both would be ambiguous.
 */
export function keyPairs(
  condition: SyntaxNode,
  target: Pick<Snapshot, 'schema'>,
  targetName: string,
  sourceName: string,
): KeyPair[] {
  if (condition['type'] === 'CONJUNCTION_AND')
    return (condition['children'] as readonly SyntaxNode[]).flatMap((part) => keyPairs(part, target, targetName, sourceName))
  if (condition['type'] !== 'COMPARE_EQUAL') return []
  const sides = [condition['left'], condition['right']] as readonly SyntaxNode[]
  const named = sides.map((side) => (side['class'] === 'COLUMN_REF' ? (side['column_names'] as readonly string[]) : []))
  for (const [own = [], other = []] of [named, named.toReversed()]) {
    const column = ofRelation(own, targetName)
    const key = ofRelation(other, sourceName)
    const field = column === undefined ? undefined : findField(target.schema, column)
    if (!field || key === undefined) continue
    if (other.length === 1 && findField(target.schema, key)) continue
    return [{ column: field.name, key }]
  }
  return []
}

function ofRelation(names: readonly string[], relation: string): string | undefined {
  if (names.length === 1) return names[0]
  return names.length === 2 && names[0]?.toLowerCase() === relation.toLowerCase() ? names[1] : undefined
}

/** A query with one row: for each key a list of `KeyRanges` as JSON text. @param from what the keys are columns of. */
export function keyRangesSql(keys: readonly string[], from: string): string {
  const ranges = keys.map((key) => {
    const numbered = `SELECT DISTINCT ${ident(key)} AS k FROM "__keys" WHERE ${ident(key)} IS NOT NULL`
    const ranged =
      `SELECT min(k)::VARCHAR AS low, max(k)::VARCHAR AS high FROM (SELECT k, ntile(${RANGES_MAX}) OVER (ORDER BY k) AS "range" FROM (${numbered})) ` +
      'GROUP BY "range"'
    return `(SELECT to_json(list({low: low, high: high})) FROM (${ranged}))::VARCHAR, (SELECT any_value(typeof(${ident(key)})) FROM "__keys")`
  })
  const columns = keys.map((key) => ident(key)).join(', ')
  return `WITH "__keys" AS MATERIALIZED (SELECT ${columns} FROM ${from}) SELECT [${ranges.join(', ')}] AS found`
}

/** What the row of `keyRangesSql` says, by key. */
export function readKeyRanges(found: readonly (string | null)[]): KeyRanges[] {
  return Array.from({ length: found.length / 2 }, (_, at) => ({
    type: found[at * 2 + 1] ?? '',
    ranges: JSON.parse(found[at * 2] ?? '[]') as KeyRanges['ranges'],
  }))
}

/** Whole numbers compare by their value, whatever their widths. */
const WHOLE = new Set(['TINYINT', 'SMALLINT', 'INTEGER', 'BIGINT'])
const COMPARED = new Set([...WHOLE, 'VARCHAR', 'DATE', 'TIMESTAMP', 'TIMESTAMP WITH TIME ZONE'])

/** The condition over the files relation that is false only for files in which no row has a key of the ranges in the column. */
export function mayHaveKey(column: string, { type, ranges }: KeyRanges, columns: PrunableColumns): string {
  if (ranges.length === 0) return 'FALSE'
  const own = findField(columns.schema, column)
  const ownType = own && duckdbType(own.type)
  const isSame = ownType === type || (WHOLE.has(type) && WHOLE.has(ownType ?? ''))
  if (!isSame || !(COMPARED.has(type) || type.startsWith('DECIMAL('))) return 'TRUE'
  const plain: SyntaxNode = { class: 'COLUMN_REF', type: 'COLUMN_REF', column_names: [column] }
  const common = WHOLE.has(type) ? 'BIGINT' : type
  const input: SyntaxNode = ownType === common ? plain : castTo(plain, common)
  const children = ranges.map(
    ({ low, high }): SyntaxNode => ({
      class: 'BETWEEN',
      type: 'COMPARE_BETWEEN',
      input,
      lower: typedText(low, common),
      upper: typedText(high, common),
    }),
  )
  return mayMatch({ class: 'CONJUNCTION', type: 'CONJUNCTION_OR', children }, columns)
}

function castTo(child: SyntaxNode, id: string): SyntaxNode {
  return { class: 'CAST', type: 'OPERATOR_CAST', child, cast_type: { id, type_info: null }, try_cast: false }
}
