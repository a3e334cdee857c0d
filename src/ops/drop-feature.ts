import { DeltaError } from '../base/errors.js'
import type { DomainMetadata, Metadata, Protocol } from '../protocol/actions.js'
import { clusteredBy, isClustering } from '../protocol/clustering.js'
import { withoutFeature } from '../protocol/protocol-for.js'
import { featureNamed, isActive, supportedFeatures, TABLE_FEATURES, useOf } from '../protocol/table-features.js'
import type { Snapshot } from '../table/snapshot.js'
import { type Alteration, refusedAlteration } from './alter.js'

/** Properties that only turn a feature on or say more of it: the feature goes, and they with it. */
const PROPERTIES: Readonly<Record<string, readonly string[]>> = {
  appendOnly: ['delta.appendOnly'],
  changeDataFeed: ['delta.enableChangeDataFeed'],
  inCommitTimestamp: [
    'delta.enableInCommitTimestamps',
    'delta.inCommitTimestampEnablementTimestamp',
    'delta.inCommitTimestampEnablementVersion',
  ],
  invariants: [],
  checkConstraints: [],
  generatedColumns: [],
  identityColumns: [],
  allowColumnDefaults: [],
  vacuumProtocolCheck: [],
  clustering: [],
  domainMetadata: [],
}

/** What has to be done first where a feature is in use by something that people made. */
const IN_USE: Readonly<Record<string, string>> = {
  invariants: 'ALTER TABLE … ALTER COLUMN … DROP NOT NULL for each column that takes no NULL',
  checkConstraints: 'ALTER TABLE … DROP CONSTRAINT for each constraint',
  allowColumnDefaults: 'ALTER TABLE … ALTER COLUMN … DROP DEFAULT for each column that has one',
  generatedColumns: 'drop the computed columns',
  identityColumns: 'drop the columns that number the rows',
  clustering: 'ALTER TABLE … CLUSTER BY NONE',
}

/**
 * Takes a feature out of a table's protocol, with the properties that turn it on. Features of which old versions or data files
 * may still have traces stay: an engine that rewrites those has to take them out.
 *
 * @throws {DeltaError} `SCHEMA_CHANGE_REFUSED` for a feature that the table does not have, or still uses, with what to do first;
 * `FEATURE_UNSUPPORTED` for one that is not taken out here.
 */
export function droppingFeature(
  snapshot: Snapshot,
  domains: readonly DomainMetadata[],
  given: string,
  truncateHistory: boolean,
): Alteration {
  const supported = supportedFeatures(snapshot.protocol)
  const feature = supported.find((name) => name.toLowerCase() === given.toLowerCase())
  if (feature === undefined)
    throw refusedAlteration('the table does not have this feature', { feature: given, features: supported })
  const keys = PROPERTIES[feature]
  if (!keys || truncateHistory)
    throw new DeltaError(
      'FEATURE_UNSUPPORTED',
      truncateHistory ? 'deltaic does not truncate the history of a table' : 'deltaic does not take this feature out of a table',
      { feature },
      { hint: 'run ALTER TABLE … DROP FEATURE in Spark, or write the rows into a new table without the feature' },
    )
  const configuration = Object.fromEntries(Object.entries(snapshot.metadata.configuration).filter(([key]) => !keys.includes(key)))
  const metadata: Metadata = { ...snapshot.metadata, configuration }
  checkUnused(feature, metadata, snapshot.protocol)
  if (feature === 'clustering' && clusteredBy(domains, snapshot.schema, snapshot.mapping).length > 0) throw inUse(feature)
  const ended = domains.filter(({ domain }) => feature === 'domainMetadata' || (feature === 'clustering' && isClustering(domain)))
  return {
    metadata,
    protocol: withoutFeature(snapshot.protocol, feature),
    readsWhole: true,
    domains: ended.map((domain) => ({ ...domain, removed: true })),
    operation: { name: 'DROP FEATURE', parameters: { featureName: feature } },
  }
}

function checkUnused(name: string, metadata: Metadata, protocol: Protocol): void {
  const feature = featureNamed(name)
  const use = useOf(metadata)
  const isUsed = name === 'invariants' ? use.fields.some((f) => !f.nullable) : false
  if (isUsed || (feature && isActive(feature, use, false))) throw inUse(name)
  const needing = TABLE_FEATURES.find(
    ({ name: other, dependsOn = [] }) => dependsOn.includes(name) && supportedFeatures(protocol).includes(other),
  )
  if (needing) throw refusedAlteration('another feature of the table needs this one', { feature: name, needing: needing.name })
}

function inUse(feature: string): DeltaError {
  return refusedAlteration('the table uses this feature', { feature }, IN_USE[feature])
}
