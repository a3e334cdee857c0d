import type { Protocol } from './actions.js'
import type { StructType } from './schema.js'
import { featureNamed, featureUse, supportedFeatures, TABLE_FEATURES } from './table-features.js'

/** What somebody asks of a table's protocol, beyond what its schema and properties need. */
export interface ProtocolRequest {
  readonly features?: readonly string[] | undefined
  readonly minReaderVersion?: number | undefined
  readonly minWriterVersion?: number | undefined
}

/** Promises that every writer has kept since the first: a version that brings them along claims nothing new. */
const PLAIN: ReadonlySet<string> = new Set(['appendOnly', 'invariants'])
const NONE: Protocol = { minReaderVersion: 1, minWriterVersion: 1 }

/**
 * The protocol that a table needs: of a new table the lowest; of one that has a protocol that one, or the lowest above it.
 * Legacy versions are used where they promise nothing more than is needed; otherwise features are listed, those of the
 * legacy versions too. A feature brings those that it depends on.
 *
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#table-features-for-new-and-existing-tables
 */
export function protocolFor(
  schema: StructType,
  configuration: Readonly<Record<string, string>>,
  request: ProtocolRequest = {},
  current?: Protocol,
): Protocol {
  const use = featureUse(schema, configuration)
  const active = TABLE_FEATURES.filter(
    (feature) => feature.activeWhen?.(use) || (feature.name === 'invariants' && use.fields.some((f) => !f.nullable)),
  )
  const present = supportedFeatures(current ?? NONE)
  const wanted = new Set([...present, ...supportedFeatures(floorOf(request))])
  for (const name of [...(request.features ?? []), ...active.map(({ name }) => name)]) include(wanted, name)
  const floor = floorOf(request, current)
  if (
    current &&
    wanted.size === present.length &&
    floor.minReaderVersion === current.minReaderVersion &&
    floor.minWriterVersion === current.minWriterVersion
  )
    return current
  return legacyProtocol(wanted, floor) ?? listedProtocol(wanted, floor, current?.readerFeatures ?? [])
}

/** A protocol without one of its features: in legacy versions where those promise just what is left, otherwise listed. */
export function withoutFeature(current: Protocol, name: string): Protocol {
  const left = new Set(supportedFeatures(current).filter((one) => one !== name))
  const versions = [NONE, ...TABLE_FEATURES.flatMap(({ legacy }) => (legacy ? [legacyVersions(legacy)] : []))]
  const same = versions.find((one) => {
    const brought = supportedFeatures(one)
    return brought.length === left.size && brought.every((feature) => left.has(feature))
  })
  return same ?? listedProtocol(left, NONE, current.readerFeatures ?? [])
}

/**
 * Parts a table's properties from what only asks something of its protocol, and is not stored:
 * `delta.feature.<name>`, `delta.minReaderVersion` and `delta.minWriterVersion`.
 */
export function splitRequest(properties: Readonly<Record<string, string>>): {
  readonly configuration: Readonly<Record<string, string>>
  readonly request: ProtocolRequest
} {
  const configuration: Record<string, string> = {}
  const features: string[] = []
  let minReaderVersion: number | undefined
  let minWriterVersion: number | undefined
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith('delta.feature.')) features.push(inCanonicalCase(key.slice('delta.feature.'.length)))
    else if (key === 'delta.minReaderVersion') minReaderVersion = Number(value)
    else if (key === 'delta.minWriterVersion') minWriterVersion = Number(value)
    else configuration[key] = value
  }
  return { configuration, request: { features, minReaderVersion, minWriterVersion } }
}

function legacyVersions({ reader, writer }: { readonly reader: number; readonly writer: number }): Protocol {
  return { minReaderVersion: reader, minWriterVersion: writer }
}

function inCanonicalCase(given: string): string {
  const names = TABLE_FEATURES.flatMap(({ name, aliases = [] }) => [name, ...aliases])
  return names.find((name) => name.toLowerCase() === given.toLowerCase()) ?? given
}

function include(wanted: Set<string>, name: string): void {
  const feature = featureNamed(name)
  const names = feature ? [feature.name, ...(feature.aliases ?? [])] : [name]
  if (!names.some((one) => wanted.has(one))) wanted.add(name)
  for (const needed of feature?.dependsOn ?? []) include(wanted, needed)
}

/** The least versions: reader 2 goes with writers from 5, reader 3 with writer 7. */
function floorOf(request: ProtocolRequest, current: Protocol = NONE): Protocol {
  const minReaderVersion = Math.max(request.minReaderVersion ?? 1, current.minReaderVersion)
  const least = minReaderVersion >= 3 ? 7 : minReaderVersion === 2 ? 5 : 1
  return { minReaderVersion, minWriterVersion: Math.max(request.minWriterVersion ?? 1, current.minWriterVersion, least) }
}

function legacyProtocol(wanted: ReadonlySet<string>, floor: Protocol): Protocol | undefined {
  const versions = [...wanted].map((name) => featureNamed(name)?.legacy)
  if (floor.minWriterVersion >= 7) return undefined
  let { minReaderVersion, minWriterVersion } = floor
  for (const legacy of versions) {
    if (!legacy) return undefined
    minReaderVersion = Math.max(minReaderVersion, legacy.reader)
    minWriterVersion = Math.max(minWriterVersion, legacy.writer)
  }
  const protocol = { minReaderVersion, minWriterVersion }
  return supportedFeatures(protocol).every((name) => wanted.has(name) || PLAIN.has(name)) ? protocol : undefined
}

function listedProtocol(wanted: ReadonlySet<string>, floor: Protocol, listed: readonly string[]): Protocol {
  const order = TABLE_FEATURES.map(({ name }) => name)
  const place = (name: string) => order.indexOf(featureNamed(name)?.name ?? name)
  const writerFeatures = [...wanted].sort((a, b) => place(a) - place(b))
  const forReaders = writerFeatures.filter((name) => featureNamed(name)?.kind === 'reader-writer' || listed.includes(name))
  const minReaderVersion = Math.max(floor.minReaderVersion, ...forReaders.map((name) => featureNamed(name)?.legacy?.reader ?? 3))
  return {
    minReaderVersion,
    minWriterVersion: 7,
    ...(minReaderVersion >= 3 ? { readerFeatures: forReaders } : {}),
    writerFeatures,
  }
}
