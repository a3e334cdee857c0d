import type { Table as ArrowTable, RecordBatch } from 'apache-arrow'
import { DeltaError } from '../base/errors.js'
import { ident } from '../engine/sql-text.js'
import type { Protocol } from '../protocol/actions.js'
import { findField, type StructType } from '../protocol/schema.js'
import { tokenize } from '../sql/tokens.js'
import type { DeltaTable, VersionSelector } from '../table/delta-table.js'
import type { Snapshot, SnapshotFile } from '../table/snapshot.js'
import type { AsOf, SqlParameters } from './options.js'
import { runQuery } from './query-runner.js'
import type { QueryResult } from './result.js'
import type { TableHost } from './table-host.js'

export interface ScanOptions {
  /** In this order. @defaultValue all */
  readonly columns?: readonly string[] | undefined
  /** A SQL condition; files that cannot satisfy it are not read. */
  readonly where?: string | undefined
  readonly params?: SqlParameters | undefined
  readonly signal?: AbortSignal | undefined
}

/** The table at one version: immutable, whatever happens to the table afterwards. */
export class TableSnapshot {
  readonly version: number
  readonly schema: StructType
  readonly protocol: Protocol
  readonly partitionColumns: readonly string[]
  readonly properties: Readonly<Record<string, string>>
  private readonly snapshot: Snapshot
  private readonly table: DeltaTable
  private readonly host: TableHost

  /** @internal */
  constructor(snapshot: Snapshot, table: DeltaTable, host: TableHost) {
    this.snapshot = snapshot
    this.table = table
    this.host = host
    this.version = snapshot.version
    this.schema = snapshot.schema
    this.protocol = snapshot.protocol
    this.partitionColumns = snapshot.partitionColumns
    this.properties = snapshot.metadata.configuration
  }

  /** The live data files, in the order in which they were added. */
  async files(): Promise<readonly SnapshotFile[]> {
    return (await this.snapshot.files()).files
  }

  /** Rows of this version, as Arrow. */
  scan(options: ScanOptions = {}): Scan {
    return new Scan(() => this.run(options))
  }

  private async run(options: ScanOptions): Promise<QueryResult> {
    const columns = options.columns?.map((name) => {
      const found = findField(this.schema, name)
      if (!found) throw new DeltaError('ARGUMENT_INVALID', 'the table has no such column', { column: name })
      return ident(found.name)
    })
    const text = `SELECT ${columns?.join(', ') ?? '*'} FROM "__scan"${options.where === undefined ? '' : ` WHERE (${oneCondition(options.where)}\n)`}`
    // The version is this snapshot's, whatever the table's newest one is.
    const pinned = {
      engines: this.host.engines,
      clock: this.host.clock,
      locations: this.host.locations,
      pin: async () => ({ table: this.table, snapshot: this.snapshot }),
    }
    return runQuery(pinned, {
      text,
      params: options.params,
      signal: options.signal,
    })
  }
}

/** A scan that has not begun: ask for one form of it. */
export class Scan {
  private readonly run: () => Promise<QueryResult>

  /** @internal */
  constructor(run: () => Promise<QueryResult>) {
    this.run = run
  }

  /** Arrow batches; stopping early frees everything. */
  async *batches(): AsyncGenerator<RecordBatch, void, undefined> {
    const result = await this.run()
    yield* result.batches()
  }

  async toArrow(): Promise<ArrowTable> {
    return (await this.run()).toArrow()
  }
}

/** A condition stays inside of its brackets. */
export function oneCondition(where: string): string {
  let depth = 0
  for (const { kind, value } of tokenize(where)) {
    if (kind !== 'symbol') continue
    if (value === '(') depth++
    if (value === ')') depth--
    if (depth < 0) throw new DeltaError('SQL_INVALID', 'a bracket closes that was not opened', { where })
  }
  return where
}

/**
 * @throws {DeltaError} `ARGUMENT_INVALID` for both a version and a time, or for text that is no time.
 */
export function versionSelector({ version, timestamp }: AsOf): VersionSelector {
  if (timestamp === undefined) return { version }
  if (version !== undefined) throw new DeltaError('ARGUMENT_INVALID', 'either a version or a time, not both')
  return { timestampMs: instantOf(timestamp) }
}

/** Of a version or a time that must be said. @throws {DeltaError} `ARGUMENT_INVALID`, as `versionSelector`. */
export function givenSelector(asOf: AsOf): VersionSelector {
  if (asOf.version !== undefined || asOf.timestamp !== undefined) return versionSelector(asOf)
  throw new DeltaError('ARGUMENT_INVALID', 'say which version: a number or a time')
}

/** ISO 8601, UTC unless it names an offset. */
function instantOf(timestamp: string | Date | number): number {
  if (typeof timestamp === 'number') return timestamp
  if (timestamp instanceof Date) return timestamp.getTime()
  const text = timestamp
    .trim()
    .replace(/^(\S{10}) +/, '$1T')
    .replace(/(T.*[+-]\d\d)$/, '$1:00')
  const zoned = /(Z|[+-]\d\d(:?\d\d)?)$/i.test(text) && text.length > 10
  const ms = Date.parse(zoned ? text : text.length <= 10 ? `${text}T00:00:00Z` : `${text}Z`)
  if (Number.isNaN(ms))
    throw new DeltaError('ARGUMENT_INVALID', 'not a time', { timestamp }, { hint: 'write 2026-11-01 or 2026-11-01T10:30:00Z' })
  return ms
}
