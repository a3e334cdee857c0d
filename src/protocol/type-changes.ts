import type { StructField } from './schema.js'

/** A widening that a column has been through: its older files hold `fromType`. */
export interface TypeChange {
  readonly fromType: string
  readonly toType: string
  /** Where inside an array or map, such as `element` or `value.key`; absent for the field itself. */
  readonly fieldPath?: string | undefined
}

/**
 * The changes that a field's metadata records, oldest first.
 *
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#type-change-metadata
 */
export function typeChanges(field: Pick<StructField, 'metadata'>): readonly TypeChange[] {
  const changes = field.metadata?.['delta.typeChanges']
  return Array.isArray(changes) ? (changes as TypeChange[]) : []
}

const WHOLE = ['byte', 'short', 'integer', 'long']

/** Whether values between two neighbours of the old type exist in the new one, so that constants cannot be brought down to it. */
export function isFiner({ fromType, toType }: TypeChange): boolean {
  return !(WHOLE.includes(fromType) && WHOLE.includes(toType))
}

/** Whether a double column has files whose values, and whose statistics, are those of a float. */
export function wasFloat(field: Pick<StructField, 'metadata'>): boolean {
  return typeChanges(field).some((change) => change.fieldPath === undefined && change.fromType === 'float')
}
