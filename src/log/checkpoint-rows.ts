import { ident, literal } from '../engine/sql-text.js'
import { duckdbType } from '../engine/types.js'
import type { TableProperties } from '../protocol/properties.js'
import { FilesRelation } from './files-relation.js'

/** The rows of the relation that a checkpoint of `version` holds: live files, and tombstones after a time. */
export function checkpointFiles(relation: FilesRelation, version: number, tombstonesAfterMs: number): CheckpointFileRows {
  const name = ident(relation.name)
  const live = FilesRelation.liveAt(version)
  const key = `(file, dv_id IS NULL, coalesce(dv_id, ''))`
  const tombstones =
    `SELECT rowid FROM ${name} WHERE removed_at <= ${version} AND "deletionTimestamp" > ${tombstonesAfterMs} ` +
    `AND ${key} NOT IN (SELECT ${key} FROM ${name} WHERE ${live}) ` +
    'QUALIFY row_number() OVER (PARTITION BY file, dv_id ORDER BY removed_at DESC, rowid DESC) = 1'
  return { name, live, tombstones }
}

interface CheckpointFileRows {
  readonly name: string
  readonly live: string
  readonly tombstones: string
}

/** SELECTs of `add` and of `remove` structs, over those rows whose id fits `within`. */
export function fileActions(rows: CheckpointFileRows, add: string, within = 'TRUE'): readonly string[] {
  return [
    `SELECT ${add} AS add FROM ${rows.name} WHERE ${rows.live} AND ${within}`,
    `SELECT ${REMOVE} AS remove FROM ${rows.name} WHERE rowid IN (${rows.tombstones}) AND ${within}`,
  ]
}

/** First and last row id of each run of at most `actionsMax` rows. */
export function fileRanges({ name, live, tombstones }: CheckpointFileRows, actionsMax: number): string {
  return (
    `SELECT min(id)::VARCHAR AS first, max(id)::VARCHAR AS last, count(*) FILTER (alive) AS adds, count(*) AS actions FROM ` +
    `(SELECT rowid AS id, (${live}) AS alive, (row_number() OVER (ORDER BY rowid) - 1) // ${actionsMax} AS part FROM ${name} ` +
    `WHERE (${live}) OR rowid IN (${tombstones})) GROUP BY part ORDER BY part`
  )
}

/**
 * The `add` struct as the table's properties want it: statistics as text, and in their types beside typed
 * partition values. Typed members have the names that columns have in files.
 *
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#checkpoint-schema
 */
export function addStruct(relation: FilesRelation, properties: TableProperties): string {
  const members = [
    '"path" := "path", "partitionValues" := coalesce("partitionValues", MAP {}), "size" := "size"',
    '"modificationTime" := coalesce("modificationTime", 0), "dataChange" := false, "tags" := "tags"',
    `${SHARED}, "clusteringProvider" := "clusteringProvider"`,
    ...(properties.writeStatsAsJson ? ['"stats" := "stats"'] : []),
    ...(properties.writeStatsAsStruct ? typedMembers(relation) : []),
  ]
  return `struct_pack(${members.join(', ')})`
}

function typedMembers(relation: FilesRelation): string[] {
  const values = relation.partitionFields().map(({ name, type }) => {
    const text = `"partitionValues"[${literal(name)}]`
    return `${ident(name)} := ${type === 'binary' ? `encode(${text})` : `TRY_CAST(${text} AS ${duckdbType(type)})`}`
  })
  return [
    `"stats_parsed" := TRY(json_transform(stats, ${literal(JSON.stringify(relation.statType()))}))`,
    ...(values.length > 0 ? [`"partitionValues_parsed" := struct_pack(${values.join(', ')})`] : []),
  ]
}

const SHARED =
  '"deletionVector" := "deletionVector", "baseRowId" := "baseRowId", "defaultRowCommitVersion" := "defaultRowCommitVersion"'
const REMOVE =
  'struct_pack("path" := "path", "deletionTimestamp" := "deletionTimestamp", "dataChange" := false, ' +
  `"extendedFileMetadata" := "extendedFileMetadata", "partitionValues" := "partitionValues", "size" := "size", ${SHARED})`
