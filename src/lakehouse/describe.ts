import { DeltaError } from '../base/errors.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { Snapshot } from '../table/snapshot.js'
import { tableDetail } from './detail.js'
import { commandResult } from './query-runner.js'
import { one, text } from './relations.js'
import type { QueryResult } from './result.js'
import type { TableHost } from './table-host.js'
import type { ViewDetail } from './views.js'

/** The columns of a table, or a row of what there is to say about it, and about the view whose state it is. */
export async function describe(
  host: TableHost,
  name: string,
  uri: string,
  snapshot: Snapshot,
  what: 'columns' | 'detail',
  view?: ViewDetail,
): Promise<QueryResult> {
  const detail = await tableDetail(name, uri, snapshot)
  if (what === 'columns') {
    const columns = [
      text('column'),
      text('type'),
      { name: 'nullable', type: 'BOOLEAN' },
      { name: 'partition', type: 'BOOLEAN' },
      text('comment'),
    ]
    return commandResult(
      host,
      columns,
      detail.columns.map((c) => ({
        column: c.name,
        type: c.type,
        nullable: c.nullable,
        partition: c.partition,
        comment: c.comment ?? null,
      })),
    )
  }
  return one(host, {
    name: ['VARCHAR', detail.name],
    uri: ['VARCHAR', detail.uri],
    id: ['VARCHAR', detail.id],
    description: ['VARCHAR', detail.description ?? null],
    version: ['BIGINT', detail.version],
    rows: ['BIGINT', detail.rows ?? null],
    files: ['BIGINT', detail.files],
    bytes: ['BIGINT', detail.bytes],
    partition_columns: ['VARCHAR[]', detail.partitionColumns],
    properties: ['MAP(VARCHAR, VARCHAR)', detail.properties],
    min_reader_version: ['INTEGER', detail.minReaderVersion],
    min_writer_version: ['INTEGER', detail.minWriterVersion],
    features: ['VARCHAR[]', detail.features],
    created_at: [
      'TIMESTAMP WITH TIME ZONE',
      detail.createdAtMs === undefined ? null : new Date(detail.createdAtMs).toISOString(),
    ],
    ...(view && viewColumns(view)),
  })
}

/** How far the state of a view has come. */
function viewColumns(view: ViewDetail): Readonly<Record<string, readonly [type: string, value: unknown]>> {
  return {
    definition: ['VARCHAR', view.definition],
    key: ['VARCHAR[]', view.key],
    maintenance: ['VARCHAR', view.maintenance],
    watermarks: [
      'STRUCT("source" VARCHAR, watermark BIGINT, "version" BIGINT, lag_versions BIGINT)[]',
      view.watermarks.map(({ name, watermark, version }) => ({
        source: name,
        watermark: watermark ?? null,
        version,
        lag_versions: version - (watermark ?? -1),
      })),
    ],
    behind: ['BOOLEAN', view.behind],
    lag_ms: ['BIGINT', Math.round(view.lagMs)],
    lag_bytes: ['BIGINT', view.lagBytes],
  }
}

/** What each version did, newest first. */
export async function history(
  host: TableHost,
  table: DeltaTable,
  limit: number,
  signal: AbortSignal | undefined,
): Promise<QueryResult> {
  if (!Number.isSafeInteger(limit) || limit < 1)
    throw new DeltaError('SQL_INVALID', 'LIMIT takes a whole number from 1', { limit })
  const columns = [
    { name: 'version', type: 'BIGINT' },
    { name: 'timestamp', type: 'TIMESTAMP WITH TIME ZONE' },
    text('operation'),
    { name: 'operation_parameters', type: 'MAP(VARCHAR, VARCHAR)' },
    { name: 'operation_metrics', type: 'MAP(VARCHAR, VARCHAR)' },
    { name: 'read_version', type: 'BIGINT' },
    { name: 'is_blind_append', type: 'BOOLEAN' },
    text('engine_info'),
  ]
  const entries = await table.history(limit, { signal })
  const asText = (values: Readonly<Record<string, unknown>>) =>
    Object.fromEntries(
      Object.entries(values).map(([key, value]) => [key, typeof value === 'string' ? value : JSON.stringify(value)]),
    )
  const rows = entries.map((entry) => ({
    version: entry.version,
    timestamp: new Date(entry.timestampMs).toISOString(),
    operation: entry.operation,
    operation_parameters: asText(entry.operationParameters),
    operation_metrics: asText(entry.operationMetrics),
    read_version: entry.readVersion ?? null,
    is_blind_append: entry.isBlindAppend ?? null,
    engine_info: entry.engineInfo ?? null,
  }))
  return commandResult(host, columns, rows)
}
