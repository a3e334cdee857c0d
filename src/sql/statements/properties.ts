import { DeltaError } from '../../base/errors.js'
import type { Cursor } from '../cursor.js'

/** `('key' = 'value', a.b 3, …)` */
export function readProperties(cursor: Cursor): Readonly<Record<string, string>> {
  const properties = cursor.list((): readonly [string, string] => {
    const key = readPropertyKey(cursor)
    cursor.accept('=')
    return [key, readValue(cursor)]
  })
  const twice = properties.find(([key], index) => properties.findIndex(([other]) => other === key) < index)
  if (twice) throw new DeltaError('SQL_INVALID', 'a property is given twice', { property: twice[0] })
  return Object.fromEntries(properties)
}

/** `'a.b'` or `a.b` */
export function readPropertyKey(cursor: Cursor): string {
  if (cursor.peek()?.kind === 'string') return cursor.string('a property')
  let key = cursor.identifier('a property')
  while (cursor.accept('.')) key += `.${cursor.identifier('a property')}`
  return key
}

function readValue(cursor: Cursor): string {
  const sign = cursor.accept('-') ? '-' : ''
  const kind = cursor.peek()?.kind
  const isValue = kind === 'number' || (sign === '' && (kind === 'string' || kind === 'word'))
  if (!isValue) throw cursor.unexpected('a value')
  return sign + cursor.next('a value').value
}
