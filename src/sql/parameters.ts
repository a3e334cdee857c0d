import { DeltaError } from '../base/errors.js'
import { bytesValue, instantValue, type Parameters } from '../engine/database.js'

export type ParameterValue = string | number | bigint | boolean | null | Date | Uint8Array
export type ParameterValues = readonly ParameterValue[] | Readonly<Record<string, ParameterValue>>
/** In the order of `$1`, `$2`, …. */
export type BoundValues = Extract<Parameters, readonly unknown[]>

/**
 * The values of a query's parameters, in order. Values that the query does not use are passed over.
 *
 * @throws {DeltaError} `PARAMETER_MISSING`, naming the parameter.
 */
export function bindParameters(names: readonly string[], values: ParameterValues | undefined): BoundValues {
  return names.map((name) => {
    const value = Array.isArray(values)
      ? (values as readonly ParameterValue[])[Number(name) - 1]
      : namedValue(values as Readonly<Record<string, ParameterValue>> | undefined, name)
    if (value === undefined)
      throw new DeltaError(
        'PARAMETER_MISSING',
        'a parameter has no value',
        { parameter: name },
        { hint: 'give it in params: a list for ? and $1, an object for $name' },
      )
    if (value instanceof Date) return instantOf(value, name)
    return value instanceof Uint8Array ? bytesValue(value) : value
  })
}

function namedValue(values: Readonly<Record<string, ParameterValue>> | undefined, name: string): ParameterValue | undefined {
  return values !== undefined && Object.hasOwn(values, name) ? values[name] : undefined
}

function instantOf(value: Date, name: string) {
  const ms = value.getTime()
  if (Number.isNaN(ms)) throw new DeltaError('ARGUMENT_INVALID', 'a parameter is a Date without a time', { parameter: name })
  return instantValue(ms)
}
