import { typeText } from '../protocol/schema.js'
import { supportedFeatures } from '../protocol/table-features.js'
import type { Snapshot } from '../table/snapshot.js'
import type { TableDetail } from './options.js'

/** Of dates, in milliseconds from 1970 on. */
const TIME_MAX = 8.64e15

/** What there is to say about a table at a version. */
export async function tableDetail(name: string, uri: string, snapshot: Snapshot): Promise<TableDetail> {
  const { metadata, protocol } = snapshot
  const { files, bytes, rows } = await snapshot.totals()
  return {
    name,
    uri,
    id: metadata.id,
    version: snapshot.version,
    description: metadata.description,
    columns: snapshot.schema.fields.map((field) => ({
      name: field.name,
      type: typeText(field.type),
      nullable: field.nullable,
      partition: snapshot.partitionColumns.includes(field.name),
      comment: typeof field.metadata['comment'] === 'string' ? field.metadata['comment'] : undefined,
    })),
    partitionColumns: snapshot.partitionColumns,
    properties: metadata.configuration,
    files,
    bytes,
    rows,
    minReaderVersion: protocol.minReaderVersion,
    minWriterVersion: protocol.minWriterVersion,
    features: supportedFeatures(protocol),
    // Some logs give a number that is no time.
    createdAtMs: Math.abs(metadata.createdTime ?? Number.NaN) <= TIME_MAX ? metadata.createdTime : undefined,
  }
}
