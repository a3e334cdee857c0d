import { canonicalKey, canonicalProperties, checkNewProperties } from '../protocol/properties.js'
import { splitRequest } from '../protocol/protocol-for.js'
import { withMappingMode } from '../protocol/schema-metadata.js'
import { isTrue } from '../protocol/table-features.js'
import type { Snapshot } from '../table/snapshot.js'
import { type Alteration, refusedAlteration } from './alter.js'

const ROW_TRACKING = 'delta.enableRowTracking'

/**
 * Gives a table properties, and `comment` its description. What they ask of the protocol comes along.
 *
 * @throws {DeltaError} as `checkNewProperties`; `SCHEMA_CHANGE_REFUSED` for one that files which are there could not live up to.
 */
export function settingProperties(snapshot: Snapshot, given: Readonly<Record<string, string>>): Alteration {
  const { comment, ...properties } = given
  const canonical = canonicalProperties(properties)
  checkNewProperties(canonical)
  const { configuration, request } = splitRequest(canonical)
  checkRowTracking(snapshot, configuration)
  const { metadata } = snapshot
  return {
    metadata: withMappingMode(
      {
        ...metadata,
        ...(comment === undefined ? {} : { description: comment }),
        configuration: { ...metadata.configuration, ...configuration },
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
export function settingComment(snapshot: Snapshot, comment: string | undefined): Alteration {
  return comment === undefined ? unsettingProperties(snapshot, ['comment'], true) : settingProperties(snapshot, { comment })
}

/** Files that are there have no row ids, and nothing here gives them some. */
function checkRowTracking({ properties }: Snapshot, configuration: Readonly<Record<string, string>>): void {
  if (properties.rowTracking || !isTrue(configuration[ROW_TRACKING])) return
  throw refusedAlteration(
    'rows of a table are tracked from its beginning, or not',
    { property: ROW_TRACKING },
    'create a table with this property and insert the rows into it',
  )
}
