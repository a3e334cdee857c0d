import { DeltaError } from '../base/errors.js'
import { ident } from '../engine/sql-text.js'
import type { View } from '../views/view.js'
import type { SqlOptions } from './options.js'

/** The key of a row of a view: a value for each of its key columns, by name. Text is read as the column's type. */
export type LookupKey = Readonly<Record<string, string | number | bigint | boolean | null>>

/** A value for each key column of a view, in their order. */
export type KeyValues = readonly LookupKey[string][]

export type LookupOptions = Pick<
  SqlOptions,
  'signal' | 'stale' | 'minVersions' | 'rowsMax' | 'bytesMax' | 'onPinned' | 'onProgress'
>

/** How many keys one query asks for. */
export const KEYS_MAX = 1000

/**
 * A query for the rows of a view with these keys, in no order; a key that is not there has none.
 *
 * @throws {DeltaError} `ARGUMENT_INVALID` for no key, for more than 1,000, and for columns that are not the view's key.
 */
export function lookupSql(name: string, view: View, keys: readonly LookupKey[]): { text: string; params: string[] } {
  if (keys.length === 0 || keys.length > KEYS_MAX)
    throw new DeltaError('ARGUMENT_INVALID', 'a lookup asks for 1 to 1,000 keys', { view: name, keys: keys.length })
  const { condition, params } = areKeys(
    view,
    keys.map((key) => keyValues(name, view, key)),
  )
  return { text: `SELECT * FROM ${ident(name)} WHERE ${condition}`, params }
}

/** The values of a key. @throws {DeltaError} `ARGUMENT_INVALID` for columns that are not the view's key. */
export function keyValues(name: string, { key }: View, values: LookupKey): KeyValues {
  if (key.length === 0)
    throw new DeltaError(
      'ARGUMENT_INVALID',
      'no columns of the view are known to tell its rows apart',
      { view: name },
      { hint: 'ask for its rows with SQL; a view with GROUP BY that gives its grouping columns has a key' },
    )
  const given = new Map(Object.entries(values).map(([column, value]) => [column.toLowerCase(), value]))
  if (given.size !== key.length || !key.every((column) => given.has(column.toLowerCase())))
    throw new DeltaError(
      'ARGUMENT_INVALID',
      'a key has a value for each key column of the view, and no others',
      { view: name, given: Object.keys(values).join(', ') },
      { hint: `the key is ${key.join(', ')}` },
    )
  return key.map((column) => given.get(column.toLowerCase()) ?? null)
}

/** Holds for rows with one of these keys. */
export function areKeys(view: View, keys: readonly KeyValues[]): { readonly condition: string; readonly params: string[] } {
  const params: string[] = []
  const one = (values: KeyValues) => {
    const equal = values.map((value, nth) => {
      const column = ident(view.key[nth] ?? '')
      if (value === null) return `${column} IS NULL`
      params.push(String(value))
      return `${column} = ${keyCast(view, nth, params.length)}`
    })
    return `(${equal.join(' AND ')})`
  }
  return { condition: keys.map(one).join(' OR '), params }
}

/** A parameter, as a value of a key column. */
export function keyCast({ key, plan }: View, nth: number, param: number): string {
  const type = plan.columns.find(({ name }) => name === key[nth])?.type ?? 'VARCHAR'
  return `CAST($${param}::VARCHAR AS ${type})`
}
