import type { Random } from '../base/random.js'
import { canonicalKey, canonicalProperties, checkNewProperties } from '../protocol/properties.js'
import { splitRequest } from '../protocol/protocol-for.js'
import { missingProvenance } from '../protocol/provenance.js'
import { addColumns } from '../protocol/schema-change.js'
import { withMappingMode, withSchema } from '../protocol/schema-metadata.js'
import type { Snapshot } from '../table/snapshot.js'
import { type Alteration, refusedAlteration } from './alter.js'
import { materializedColumns, startsTracking, TRACKED_SINCE } from './track-rows.js'

/**
 * Gives a table properties, and `comment` its description. What they ask of the protocol comes along.
 *
 * @throws {DeltaError} as `checkNewProperties`; `SCHEMA_CHANGE_REFUSED` for one that files which are there could not live up to.
 */
export function settingProperties(snapshot: Snapshot, given: Readonly<Record<string, string>>, random: Random): Alteration {
  const { comment, ...properties } = given
  const canonical = canonicalProperties(properties)
  checkNewProperties(canonical)
  const { configuration, request } = splitRequest(canonical)
  const { metadata } = snapshot
  const tracking = startsTracking(snapshot, configuration) ? trackingProperties(snapshot, random) : {}
  const columns = missingProvenance(snapshot.schema.fields, configuration).map((field) => ({ path: [field.name], field }))
  const extended =
    columns.length === 0
      ? metadata
      : withSchema(metadata, addColumns(snapshot.schema, columns), snapshot.mapping, () => `col-${random.uuid()}`)
  return {
    metadata: withMappingMode(
      {
        ...extended,
        ...(comment === undefined ? {} : { description: comment }),
        configuration: { ...extended.configuration, ...configuration, ...tracking },
      },
      snapshot.mapping,
    ),
    request,
    operation: { name: 'SET TBLPROPERTIES', parameters: { properties: JSON.stringify(given) } },
  }
}

/** @throws {DeltaError} `ARGUMENT_INVALID` for a property that the table does not have, unless `ifExists`, or sets itself. */
export function unsettingProperties(snapshot: Snapshot, given: readonly string[], ifExists: boolean): Alteration {
  const keys = given.map(canonicalKey)
  const { description, ...metadata } = snapshot.metadata
  const there = (key: string) => (key === 'comment' ? description !== undefined : key in metadata.configuration)
  const missing = keys.find((key) => !there(key))
  if (missing !== undefined && !ifExists) throw refusedAlteration('the table has no such property', { property: missing })
  const held = Object.fromEntries(keys.flatMap((key) => [[key, metadata.configuration[key] ?? '']]))
  checkNewProperties(Object.fromEntries(Object.entries(held).filter(([, value]) => value !== '')))
  return {
    metadata: withMappingMode(
      {
        ...metadata,
        ...(description === undefined || keys.includes('comment') ? {} : { description }),
        configuration: Object.fromEntries(Object.entries(metadata.configuration).filter(([key]) => !keys.includes(key))),
      },
      snapshot.mapping,
    ),
    operation: { name: 'UNSET TBLPROPERTIES', parameters: { properties: JSON.stringify(keys), ifExists } },
  }
}

/** Sets the table's description; none with `undefined`. */
export function settingComment(snapshot: Snapshot, comment: string | undefined, random: Random): Alteration {
  return comment === undefined
    ? unsettingProperties(snapshot, ['comment'], true)
    : settingProperties(snapshot, { comment }, random)
}

/** Where moved rows keep their ids, for good, and since when ids can be relied on. */
function trackingProperties({ version, metadata }: Snapshot, random: Random): Readonly<Record<string, string>> {
  const known = Object.keys(materializedColumns(random)).every((key) => key in metadata.configuration)
  return { ...(known ? {} : materializedColumns(random)), [TRACKED_SINCE]: String(version + 1) }
}
