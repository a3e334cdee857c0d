import { DeltaError } from '../base/errors.js'
import type { Metadata, Protocol } from './actions.js'
import { type DataType, parseSchema, type StructField, type StructType } from './schema.js'

/** Features whose tables this library reads. */
const READABLE: ReadonlySet<string> = new Set(['timestampNtz', 'vacuumProtocolCheck'])

/** Features whose tables it writes: it keeps their promises, or refuses a table that uses them (see `activeRefusals`). */
const WRITABLE: ReadonlySet<string> = new Set([...READABLE, 'appendOnly', 'invariants', 'checkConstraints', 'generatedColumns'])

/** What each legacy writer version adds. @see PROTOCOL.md#writer-version-requirements */
const LEGACY_WRITER: readonly (readonly [number, string])[] = [
  [2, 'appendOnly'],
  [2, 'invariants'],
  [3, 'checkConstraints'],
  [4, 'changeDataFeed'],
  [4, 'generatedColumns'],
  [5, 'columnMapping'],
  [6, 'identityColumns'],
]

/**
 * Refuses a table that this library would misread.
 *
 * @throws {DeltaError} `FEATURE_UNSUPPORTED`, naming the features.
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#table-features
 */
export function checkReadable(protocol: Protocol, metadata: Metadata): void {
  const reader = protocol.minReaderVersion
  if (reader > 3) refuse('read', [`reader version ${reader}`])
  if (reader === 3)
    refuse(
      'read',
      (protocol.readerFeatures ?? []).filter((name) => !READABLE.has(name)),
    )
  const mapping = metadata.configuration['delta.columnMapping.mode'] ?? 'none'
  if (reader >= 2 && mapping !== 'none') refuse('read', ['columnMapping'])
}

/**
 * Refuses a table whose promises this library cannot keep when writing.
 *
 * A legacy writer version names features that most of its tables do not use, so those are refused only where the table
 * does use them; a feature listed by name is refused unless it is known.
 *
 * @throws {DeltaError} `FEATURE_UNSUPPORTED`, naming the features.
 */
export function checkWritable(protocol: Protocol, metadata: Metadata): void {
  checkReadable(protocol, metadata)
  const writer = protocol.minWriterVersion
  if (writer > 7) refuse('write', [`writer version ${writer}`])
  if (writer === 7)
    refuse(
      'write',
      (protocol.writerFeatures ?? []).filter((name) => !WRITABLE.has(name)),
    )
  refuse('write', activeRefusals(metadata, parseSchema(metadata.schemaString)))
}

/** The protocol that a new table with this schema and these properties needs, and no more. */
export function requiredProtocol(schema: StructType, configuration: Readonly<Record<string, string>>): Protocol {
  const ntz = schema.fields.some((f) => mentions(f.type, 'timestamp_ntz'))
  const appendOnly = isTrue(configuration['delta.appendOnly'])
  const notNull = schema.fields.some((f) => !f.nullable)
  if (!ntz) return { minReaderVersion: 1, minWriterVersion: appendOnly || notNull ? 2 : 1 }
  const writerFeatures = ['timestampNtz', ...(appendOnly ? ['appendOnly'] : []), ...(notNull ? ['invariants'] : [])]
  return { minReaderVersion: 3, minWriterVersion: 7, readerFeatures: ['timestampNtz'], writerFeatures }
}

/** Every feature that a protocol asks of writers, legacy versions spelt out. */
export function writerFeatures(protocol: Protocol): readonly string[] {
  if (protocol.minWriterVersion >= 7) return protocol.writerFeatures ?? []
  return LEGACY_WRITER.filter(([version]) => version <= protocol.minWriterVersion).map(([, name]) => name)
}

export function isTrue(value: string | undefined): boolean {
  return value?.toLowerCase() === 'true'
}

function activeRefusals(metadata: Metadata, schema: StructType): string[] {
  const found = new Set<string>()
  for (const { metadata: column = {} } of allFields(schema)) {
    if ('delta.invariants' in column) found.add('invariants')
    if ('delta.generationExpression' in column) found.add('generatedColumns')
    if (Object.keys(column).some((key) => key.startsWith('delta.identity.'))) found.add('identityColumns')
    if ('CURRENT_DEFAULT' in column) found.add('allowColumnDefaults')
  }
  for (const [key, value] of Object.entries(metadata.configuration)) {
    if (key.startsWith('delta.constraints.')) found.add('checkConstraints')
    if (key === 'delta.enableChangeDataFeed' && isTrue(value)) found.add('changeDataFeed')
  }
  return [...found]
}

/** Fields at every depth: a promise may be about one inside a struct. */
function allFields(type: DataType): StructField[] {
  if (typeof type === 'string') return []
  switch (type.type) {
    case 'struct':
      return type.fields.flatMap((f) => [f, ...allFields(f.type)])
    case 'array':
      return allFields(type.elementType)
    case 'map':
      return [...allFields(type.keyType), ...allFields(type.valueType)]
  }
}

function mentions(type: DataType, name: string): boolean {
  if (typeof type === 'string') return type === name
  switch (type.type) {
    case 'struct':
      return type.fields.some((f) => mentions(f.type, name))
    case 'array':
      return mentions(type.elementType, name)
    case 'map':
      return mentions(type.keyType, name) || mentions(type.valueType, name)
  }
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
