import { DeltaError } from '../base/errors.js'
import { ident } from '../engine/sql-text.js'
import type { View } from '../views/view.js'
import type { SqlOptions } from './options.js'

/** The key of a row of a view: a value for each of its key columns, by name. Text is read as the column's type. */
export type LookupKey = Readonly<Record<string, string | number | bigint | boolean | null>>

export type LookupOptions = Pick<
  SqlOptions,
  'signal' | 'stale' | 'minVersions' | 'rowsMax' | 'bytesMax' | 'onPinned' | 'onProgress'
>

const KEYS_MAX = 1000

/**
 * A query for the rows of a view with these keys, in no order; a key that is not there has none.
 *
 * @throws {DeltaError} `ARGUMENT_INVALID` for no key, for more than 1,000, and for columns that are not the view's key.
 */
export function lookupSql(name: string, { key, plan }: View, keys: readonly LookupKey[]): { text: string; params: string[] } {
  if (key.length === 0)
    throw new DeltaError(
      'ARGUMENT_INVALID',
      'no columns of the view are known to tell its rows apart',
      { view: name },
      { hint: 'ask for its rows with SQL; a view with GROUP BY that gives its grouping columns has a key' },
    )
  if (keys.length === 0 || keys.length > KEYS_MAX)
    throw new DeltaError('ARGUMENT_INVALID', 'a lookup asks for 1 to 1,000 keys', { view: name, keys: keys.length })
  const types = new Map(plan.columns.map((column) => [column.name, column.type]))
  const params: string[] = []
  const one = (values: LookupKey) => {
    const given = new Map(Object.entries(values).map(([column, value]) => [column.toLowerCase(), value]))
    if (given.size !== key.length || !key.every((column) => given.has(column.toLowerCase())))
      throw new DeltaError(
        'ARGUMENT_INVALID',
        'a key has a value for each key column of the view, and no others',
        { view: name, given: Object.keys(values).join(', ') },
        { hint: `the key is ${key.join(', ')}` },
      )
    const equal = key.map((column) => {
      const value = given.get(column.toLowerCase()) ?? null
      if (value === null) return `${ident(column)} IS NULL`
      params.push(String(value))
      return `${ident(column)} = CAST($${params.length}::VARCHAR AS ${types.get(column) ?? 'VARCHAR'})`
    })
    return `(${equal.join(' AND ')})`
  }
  const conditions = keys.map(one)
  return { text: `SELECT * FROM ${ident(name)} WHERE ${conditions.join(' OR ')}`, params }
}
