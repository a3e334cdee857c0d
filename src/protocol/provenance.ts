import { DeltaError } from '../base/errors.js'
import { type DataType, field, findField, type StructField } from './schema.js'

/** The property that lists what ingest keeps of where rows come from, in columns of these names. */
export const PROVENANCE = 'deltaic.ingest.provenance'

/** Whose batch a row came in, which one of them, and when that was taken in. */
const TYPES = { producer: 'string', sequence: 'long', received_at: 'timestamp' } as const satisfies Readonly<
  Record<string, DataType>
>

export type ProvenanceColumn = keyof typeof TYPES

/**
 * The columns that a table asks ingest to fill.
 *
 * @throws {DeltaError} `ARGUMENT_INVALID` for another name.
 */
export function provenanceColumns(configuration: Readonly<Record<string, string>>): readonly ProvenanceColumn[] {
  const names = (configuration[PROVENANCE] ?? '')
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '')
  const unknown = names.find((name) => !Object.hasOwn(TYPES, name))
  if (unknown !== undefined || new Set(names).size !== names.length)
    throw new DeltaError(
      'ARGUMENT_INVALID',
      'ingest keeps of rows their producer, sequence and received_at',
      { property: PROVENANCE, value: configuration[PROVENANCE] },
      { hint: `'${PROVENANCE}' = 'producer, sequence, received_at', or some of them` },
    )
  return names as ProvenanceColumn[]
}

/**
 * Those of the columns that a table does not have yet.
 *
 * @throws {DeltaError} `ARGUMENT_INVALID` as `provenanceColumns`, and for a column that is there and cannot take the values.
 */
export function missingProvenance(
  fields: readonly StructField[],
  configuration: Readonly<Record<string, string>>,
): readonly StructField[] {
  return provenanceColumns(configuration).flatMap((name) => {
    const there = findField({ type: 'struct', fields }, name)
    if (!there) return field(name, TYPES[name])
    if (
      there.type === TYPES[name] &&
      there.nullable &&
      Object.keys(there.metadata).every((key) => !key.startsWith('delta.gen') && !key.startsWith('delta.identity'))
    )
      return []
    throw new DeltaError(
      'ARGUMENT_INVALID',
      'a column that ingest is to fill is of another kind',
      { property: PROVENANCE, column: there.name },
      { hint: `let it be ${TYPES[name].toUpperCase()}, take NULL, and not be computed` },
    )
  })
}
