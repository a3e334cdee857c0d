import type { Metadata, Protocol } from './actions.js'
import { type DataType, parseSchema, type StructField, type StructType } from './schema.js'

/** What of a table tells whether a feature is in use. */
export interface FeatureUse {
  readonly configuration: Readonly<Record<string, string>>
  /** Fields at every depth: a promise may be about one inside a struct. */
  readonly fields: readonly StructField[]
  /** Every primitive type that occurs, at any depth. */
  readonly types: ReadonlySet<string>
}

/** @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#table-features */
export interface TableFeature {
  readonly name: string
  /** Other names for the same promises. */
  readonly aliases?: readonly string[]
  readonly kind: 'reader-writer' | 'writer'
  /** The versions that bring it without a list. */
  readonly legacy?: { readonly reader: number; readonly writer: number }
  readonly dependsOn?: readonly string[]
  /** Whether a table uses it. Without this, a table that lists it does. */
  readonly activeWhen?: (use: FeatureUse) => boolean
  readonly reads: boolean
  readonly writes: boolean
  readonly note: string
}

/** Every feature that is known by name; any other is refused. */
export const TABLE_FEATURES: readonly TableFeature[] = [
  {
    name: 'appendOnly',
    kind: 'writer',
    legacy: { reader: 1, writer: 2 },
    activeWhen: isOn('delta.appendOnly'),
    reads: true,
    writes: true,
    note: 'rows are never taken out',
  },
  {
    name: 'invariants',
    kind: 'writer',
    legacy: { reader: 1, writer: 2 },
    activeWhen: hasColumnKey('delta.invariants'),
    reads: true,
    writes: true,
    note: 'NOT NULL, and conditions on a column',
  },
  {
    name: 'checkConstraints',
    kind: 'writer',
    legacy: { reader: 1, writer: 3 },
    activeWhen: ({ configuration }) => Object.keys(configuration).some((key) => key.startsWith('delta.constraints.')),
    reads: true,
    writes: true,
    note: 'CHECK constraints',
  },
  {
    name: 'changeDataFeed',
    kind: 'writer',
    legacy: { reader: 1, writer: 4 },
    activeWhen: isOn('delta.enableChangeDataFeed'),
    reads: true,
    writes: true,
    note: 'row-level changes are kept',
  },
  {
    name: 'generatedColumns',
    kind: 'writer',
    legacy: { reader: 1, writer: 4 },
    activeWhen: hasColumnKey('delta.generationExpression'),
    reads: true,
    writes: true,
    note: 'columns computed from others',
  },
  {
    name: 'columnMapping',
    kind: 'reader-writer',
    legacy: { reader: 2, writer: 5 },
    activeWhen: ({ configuration }) => (configuration['delta.columnMapping.mode'] ?? 'none') !== 'none',
    reads: true,
    writes: true,
    note: 'columns have names or ids of their own in files',
  },
  {
    name: 'identityColumns',
    kind: 'writer',
    legacy: { reader: 1, writer: 6 },
    activeWhen: hasColumnKey('delta.identity.start'),
    reads: true,
    writes: true,
    note: 'columns that number the rows',
  },
  {
    name: 'allowColumnDefaults',
    kind: 'writer',
    activeWhen: hasColumnKey('CURRENT_DEFAULT'),
    reads: true,
    writes: true,
    note: 'values for columns that are not given',
  },
  {
    name: 'deletionVectors',
    kind: 'reader-writer',
    activeWhen: isOn('delta.enableDeletionVectors'),
    reads: true,
    writes: true,
    note: 'rows taken out without rewriting their file',
  },
  {
    name: 'timestampNtz',
    aliases: ['timestampWithoutTimezone'],
    kind: 'reader-writer',
    activeWhen: hasType('timestamp_ntz'),
    reads: true,
    writes: true,
    note: 'timestamps without time zone',
  },
  {
    name: 'v2Checkpoint',
    kind: 'reader-writer',
    activeWhen: ({ configuration }) => configuration['delta.checkpointPolicy']?.toLowerCase() === 'v2',
    reads: true,
    writes: true,
    note: 'checkpoints with sidecar files',
  },
  { name: 'domainMetadata', kind: 'writer', reads: true, writes: true, note: 'named configurations beside the table’s' },
  {
    name: 'rowTracking',
    kind: 'writer',
    dependsOn: ['domainMetadata'],
    activeWhen: isOn('delta.enableRowTracking'),
    reads: true,
    writes: true,
    note: 'rows have ids; a table that lists it gives new files their base ids',
  },
  {
    name: 'inCommitTimestamp',
    kind: 'writer',
    activeWhen: isOn('delta.enableInCommitTimestamps'),
    reads: true,
    writes: true,
    note: 'a version’s time stands in its commit',
  },
  { name: 'clustering', kind: 'writer', dependsOn: ['domainMetadata'], reads: true, writes: true, note: 'liquid clustering' },
  {
    name: 'typeWidening',
    aliases: ['typeWidening-preview'],
    kind: 'reader-writer',
    activeWhen: (use) => isOn('delta.enableTypeWidening')(use) || hasColumnKey('delta.typeChanges')(use),
    reads: true,
    writes: true,
    note: 'a column’s type may grow',
  },
  {
    name: 'variantType',
    aliases: ['variantType-preview'],
    kind: 'reader-writer',
    activeWhen: hasType('variant'),
    reads: true,
    writes: true,
    note: 'values of any shape',
  },
  {
    name: 'variantShredding',
    aliases: ['variantShredding-preview'],
    kind: 'reader-writer',
    dependsOn: ['variantType'],
    activeWhen: isOn('delta.enableVariantShredding'),
    reads: true,
    writes: true,
    note: 'parts of such values in columns of their own; files written here hold them whole',
  },
  { name: 'vacuumProtocolCheck', kind: 'reader-writer', reads: true, writes: true, note: 'VACUUM checks the writer protocol' },
  {
    name: 'checkpointProtection',
    kind: 'writer',
    activeWhen: ({ configuration }) => Number(configuration['delta.requireCheckpointProtectionBeforeVersion'] ?? 0) > 0,
    reads: true,
    writes: true,
    note: 'the log before some version is not cleaned up',
  },
  { name: 'materializePartitionColumns', kind: 'writer', reads: true, writes: true, note: 'files hold partition columns too' },
  {
    name: 'icebergCompatV1',
    kind: 'writer',
    dependsOn: ['columnMapping'],
    activeWhen: isOn('delta.enableIcebergCompatV1'),
    reads: true,
    writes: false,
    note: 'files that Iceberg readers can use',
  },
  {
    name: 'icebergCompatV2',
    kind: 'writer',
    dependsOn: ['columnMapping'],
    activeWhen: isOn('delta.enableIcebergCompatV2'),
    reads: true,
    writes: false,
    note: 'as V1, with arrays and maps',
  },
  {
    name: 'icebergCompatV3',
    kind: 'writer',
    dependsOn: ['columnMapping', 'rowTracking'],
    activeWhen: isOn('delta.enableIcebergCompatV3'),
    reads: true,
    writes: false,
    note: 'as V2, with row ids',
  },
  {
    name: 'collations',
    aliases: ['collations-preview'],
    kind: 'writer',
    dependsOn: ['domainMetadata'],
    activeWhen: hasColumnKey('__COLLATIONS'),
    reads: true,
    writes: false,
    note: 'text that is compared by the rules of a language; read as plain text',
  },
  {
    name: 'catalogManaged',
    aliases: ['catalogOwned', 'catalogOwned-preview'],
    kind: 'reader-writer',
    dependsOn: ['inCommitTimestamp', 'vacuumProtocolCheck'],
    reads: false,
    writes: false,
    note: 'a catalog knows the latest version; the folder alone does not',
  },
  {
    name: 'coordinatedCommits-preview',
    kind: 'writer',
    dependsOn: ['inCommitTimestamp', 'vacuumProtocolCheck'],
    reads: true,
    writes: false,
    note: 'the forerunner of catalogManaged',
  },
  {
    name: 'geospatial',
    aliases: ['geospatial-preview'],
    kind: 'reader-writer',
    reads: false,
    writes: false,
    note: 'geometry and geography',
  },
  { name: 'timestampNanos', kind: 'reader-writer', reads: false, writes: false, note: 'timestamps in nanoseconds' },
  { name: 'adaptiveMetadata-preview', kind: 'reader-writer', reads: false, writes: false, note: 'manifests in place of adds' },
]

const BY_NAME: ReadonlyMap<string, TableFeature> = new Map(
  TABLE_FEATURES.flatMap((feature) => [feature.name, ...(feature.aliases ?? [])].map((name) => [name, feature] as const)),
)

/** The feature of this name, or of this other name for it. */
export function featureNamed(name: string): TableFeature | undefined {
  return BY_NAME.get(name)
}

/**
 * Every feature that a protocol asks of writers, by the names it uses, legacy versions spelt out. Features that readers
 * must know are among them.
 */
export function supportedFeatures(protocol: Protocol): readonly string[] {
  const listed = new Set([...(protocol.readerFeatures ?? []), ...(protocol.writerFeatures ?? [])])
  if (protocol.minWriterVersion >= 7) return [...listed]
  return TABLE_FEATURES.filter(
    ({ legacy }) => legacy && legacy.writer <= protocol.minWriterVersion && legacy.reader <= protocol.minReaderVersion,
  ).map(({ name }) => name)
}

export function featureUse(schema: StructType, configuration: Readonly<Record<string, string>>): FeatureUse {
  const fields: StructField[] = []
  const types = new Set<string>()
  const visit = (type: DataType): void => {
    if (typeof type === 'string') types.add(type)
    else if (type.type === 'array') visit(type.elementType)
    else if (type.type === 'map') [type.keyType, type.valueType].forEach(visit)
    else
      for (const field of type.fields) {
        fields.push(field)
        visit(field.type)
      }
  }
  visit(schema)
  return { configuration, fields, types }
}

export function useOf(metadata: Metadata): FeatureUse {
  return featureUse(parseSchema(metadata.schemaString), metadata.configuration)
}

/** Whether a table uses a feature; one that cannot be told is used where it is listed. */
export function isActive(feature: TableFeature, use: FeatureUse, isListed: boolean): boolean {
  return feature.activeWhen?.(use) ?? isListed
}

export function isTrue(value: string | undefined): boolean {
  return value?.toLowerCase() === 'true'
}

/** The table as rows of Markdown, for `docs/features.md`. */
export function featureRows(): readonly string[] {
  const words = (support: boolean) => (support ? 'yes' : 'no')
  return TABLE_FEATURES.map(({ name, aliases = [], kind, legacy, dependsOn = [], reads, writes, note }) => {
    const since = legacy
      ? `reader ${legacy.reader}, writer ${legacy.writer}`
      : kind === 'writer'
        ? 'writer 7'
        : 'reader 3, writer 7'
    const also = aliases.length > 0 ? `; also called ${aliases.map(code).join(', ')}` : ''
    const needs = dependsOn.length > 0 ? `; needs ${dependsOn.map(code).join(', ')}` : ''
    return `| ${code(name)} | ${words(reads)} | ${words(writes)} | ${since} | ${note}${needs}${also} |`
  })
}

function code(name: string): string {
  return `\`${name}\``
}

function isOn(key: string) {
  return ({ configuration }: FeatureUse) => isTrue(configuration[key])
}

function hasColumnKey(key: string) {
  return ({ fields }: FeatureUse) => fields.some(({ metadata = {} }) => key in metadata)
}

function hasType(type: string) {
  return ({ types }: FeatureUse) => types.has(type)
}
