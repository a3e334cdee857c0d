import { DeltaError } from '../base/errors.js'
import type { Metadata, Protocol } from './actions.js'
import { mappingMode } from './column-mapping.js'
import { protocolFor } from './protocol-for.js'
import type { StructType } from './schema.js'
import { type FeatureUse, featureNamed, isActive, supportedFeatures, TABLE_FEATURES, useOf } from './table-features.js'
import { typeChanges } from './type-changes.js'
import { isReadableChange } from './type-widening.js'

/**
 * Refuses a table that this library would misread.
 *
 * @throws {DeltaError} `FEATURE_UNSUPPORTED`, naming the features; `TYPE_UNSUPPORTED` for a type that was changed in a way that is no widening; `SCHEMA_MALFORMED` for columns with
 * one id, where those count; `LOG_LINE_MALFORMED` for a protocol without the list
 * that its version asks for.
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#table-features
 */
export function checkReadable(protocol: Protocol, metadata: Metadata): void {
  const { minReaderVersion: version, readerFeatures } = protocol
  const provider = metadata.format?.provider ?? 'parquet'
  if (provider.toLowerCase() !== 'parquet') refuse('read', [`format ${provider}`])
  if (version > 3) refuse('read', [`reader version ${version}`])
  if (version === 3 && !readerFeatures) throw listless('readerFeatures')
  const implied = TABLE_FEATURES.filter((feature) => version === 2 && feature.legacy?.reader === 2).map(({ name }) => name)
  const names = version === 3 ? (readerFeatures ?? []) : implied
  if (names.length === 0) return
  const use = useOf(metadata)
  refuse(
    'read',
    names.filter((name) => !isSafe(name, 'reads', use, version === 3)),
  )
  if (mappingMode(protocol, metadata) === 'id') checkIds(use)
  if (names.some((name) => featureNamed(name)?.name === 'typeWidening')) checkTypeChanges(use)
}

/** Columns are told apart by their ids alone. @throws {DeltaError} `SCHEMA_MALFORMED`. */
function checkIds({ fields }: FeatureUse): void {
  const seen = new Set<unknown>()
  for (const field of fields) {
    const id = field.metadata?.['delta.columnMapping.id']
    if (id !== undefined && seen.has(id))
      throw new DeltaError('SCHEMA_MALFORMED', 'two columns have one id', { column: field.name, id })
    seen.add(id)
  }
}

/** Files from before a change that nobody here knows of would be misread. @throws {DeltaError} `TYPE_UNSUPPORTED`. */
function checkTypeChanges({ fields }: FeatureUse): void {
  for (const field of fields)
    for (const change of typeChanges(field))
      if (!isReadableChange(change))
        throw new DeltaError('TYPE_UNSUPPORTED', 'deltaic cannot read columns whose type was changed so', {
          column: field.name,
          from: change.fromType,
          to: change.toType,
        })
}

/** What was looked at before each write, and found good: it is the same for most of them. */
const WRITABLE = new WeakMap<Metadata, Protocol>()

/**
 * Refuses a table whose promises this library cannot keep when writing.
 *
 * A legacy writer version names features that most of its tables do not use, so those are refused only where the table
 * does use them; a feature listed by name is refused unless it is known.
 *
 * @throws {DeltaError} as `checkReadable`.
 */
export function checkWritable(protocol: Protocol, metadata: Metadata): void {
  if (WRITABLE.get(metadata) === protocol) return
  checkReadable(protocol, metadata)
  const { minWriterVersion: version, writerFeatures } = protocol
  if (version > 7) refuse('write', [`writer version ${version}`])
  if (version === 7 && !writerFeatures) throw listless('writerFeatures')
  const use = useOf(metadata)
  const listed = version === 7 ? supportedFeatures(protocol) : []
  // What a table does without having said so is a promise too.
  const unsaid = TABLE_FEATURES.filter((feature) => isActive(feature, use, false)).map(({ name }) => name)
  const refused = [
    ...listed.filter((name) => !isSafe(name, 'writes', use, true)),
    ...unsaid.filter((name) => !isSafe(name, 'writes', use, false)),
  ]
  refuse('write', [...new Set(refused)])
  WRITABLE.set(metadata, protocol)
}

/** The protocol that a new table with this schema and these properties needs, and no more. */
export function requiredProtocol(schema: StructType, configuration: Readonly<Record<string, string>>): Protocol {
  return protocolFor(schema, configuration)
}

function isSafe(name: string, verb: 'reads' | 'writes', use: FeatureUse, isListed: boolean): boolean {
  const feature = featureNamed(name)
  if (!feature) return false
  return feature[verb] || (!isListed && !isActive(feature, use, isListed))
}

function listless(list: string): DeltaError {
  return new DeltaError('LOG_LINE_MALFORMED', 'the protocol lacks the list of features that its version asks for', { list })
}

function refuse(verb: 'read' | 'write', features: readonly string[]): void {
  if (features.length === 0) return
  throw new DeltaError(
    'FEATURE_UNSUPPORTED',
    `deltaic cannot ${verb} this table`,
    { features: features.join(', ') },
    {
      hint: `${verb} it with an engine that has these features, or drop them from the table with ALTER TABLE … DROP FEATURE there`,
    },
  )
}
