import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import type { Clock } from '../../src/base/clock.js'
import type { DeltaicEvent } from '../../src/base/events.js'
import { type Random, seededRandom } from '../../src/base/random.js'
import { Database } from '../../src/engine/database.js'
import { RangeCache } from '../../src/engine/range-cache.js'
import { Spool } from '../../src/engine/spool.js'
import { ident } from '../../src/engine/sql-text.js'
import { type CreateTableOptions, type LakehouseOptions, openLakehouse } from '../../src/index.js'
import { checkDesign, createDeltaTable, fieldOf } from '../../src/lakehouse/create.js'
import { Lakehouse } from '../../src/lakehouse/lakehouse.js'
import type { Action, AddFile, RemoveFile } from '../../src/protocol/actions.js'
import { formatCommit } from '../../src/protocol/commit-file.js'
import { commitPath } from '../../src/protocol/log-path.js'
import { MemoryStore } from '../../src/storage/memory.js'
import type { ObjectStore } from '../../src/storage/store.js'
import { DeletionVectors } from '../../src/table/deletion-vectors.js'
import { DeltaTable } from '../../src/table/delta-table.js'
import { FileSource } from '../../src/table/file-source.js'
import { Footers } from '../../src/table/footers.js'
import type { OpenLogs } from '../../src/table/open-logs.js'
import { scanSql } from '../../src/table/scan-sql.js'

/** A clock on which sleeping takes no time: it only moves the hands. */
export function skippingClock(startMs = Date.UTC(2026, 0, 1)): Clock & { advance(ms: number): void } {
  let now = startMs
  return {
    now: () => now,
    advance: (ms) => {
      now += ms
    },
    sleep: async (ms, signal) => {
      signal?.throwIfAborted()
      now += ms
      await new Promise((resolve) => setImmediate(resolve))
    },
  }
}

/** One engine and one spool for a file of tests; any number of tables, as any number of processes would open them. */
export interface World {
  readonly database: Database
  readonly spool: Spool
  readonly source: FileSource
  readonly clock: ReturnType<typeof skippingClock>
  readonly events: DeltaicEvent[]
  table(store: ObjectStore, more?: { random?: Random; clock?: Clock; openLogs?: OpenLogs }): DeltaTable
}

/** Opens a world for the tests of this file; it is closed after them. Call it at the top of the file. */
export async function openWorld(): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'deltaic-world-'))
  const database = await Database.open({ threads: 2, memoryLimitBytes: 2 ** 30 })
  const spool = await Spool.create(folder)
  const cache = new RangeCache({ folder: spool.folder, maxBytes: 2 ** 28, database })
  const clock = skippingClock()
  const events: DeltaicEvent[] = []
  let seed = 0
  afterAll(async () => {
    database.close()
    await cache.close()
    await rm(folder, { recursive: true, force: true })
  })
  return {
    database,
    spool,
    source: new FileSource(cache, new DeletionVectors(spool), new Footers(database)),
    clock,
    events,
    table: (store, more = {}) =>
      new DeltaTable({
        store,
        database,
        engineFor: () => database,
        spool,
        events: (event) => events.push(event),
        clock,
        random: seededRandom(++seed),
        ...more,
      }),
  }
}

/** The rows of a table at a version, read the way queries read them. */
export async function readRows<T = { id: number; v: string | null }>(
  world: World,
  table: DeltaTable,
  version?: number,
): Promise<T[]> {
  const snapshot = await table.snapshot({ version })
  const { files } = await snapshot.files()
  const held = await world.source.open(table.deps.store, files, snapshot, undefined)
  try {
    const rows = await world.database.rows(
      scanSql({ fields: snapshot.schema.fields, partitionColumns: snapshot.partitionColumns }, held.files),
    )
    return rows.map(
      (row) =>
        Object.fromEntries(Object.entries(row).map(([k, value]) => [k, typeof value === 'bigint' ? Number(value) : value])) as T,
    )
  } finally {
    held.release()
  }
}

/** The ids of a table's rows, and the versions that they were last changed at, in the order of one column's values. */
export async function readRowIds(world: World, table: DeltaTable, column: string, version?: number) {
  const snapshot = await table.snapshot({ version })
  const { schema, partitionColumns, mapping, properties } = snapshot
  const { files } = await snapshot.files()
  const held = await world.source.open(table.deps.store, files, snapshot, undefined)
  const rowIds = {
    materializedId: properties.materializedRowIdColumn,
    materializedVersion: properties.materializedRowCommitVersionColumn,
  }
  try {
    const scan = scanSql({ fields: schema.fields, partitionColumns, mapping, rowIds }, held.files)
    return await world.database.rows<{ value: number; id: number; version: number }>(
      `SELECT ${ident(column)}::INTEGER AS value, "__row_id"::INTEGER AS id, "__row_commit_version"::INTEGER AS version FROM (${scan}) ORDER BY 1`,
    )
  } finally {
    held.release()
  }
}

/** Creates a table of `id BIGINT, v STRING` unless told otherwise. */
export async function createTable(table: DeltaTable, options: Partial<CreateTableOptions> = {}): Promise<boolean> {
  const columns = options.columns ?? [
    { name: 'id', type: 'BIGINT' },
    { name: 'v', type: 'STRING' },
  ]
  const design = checkDesign({ ...options, fields: columns.map(fieldOf) })
  return createDeltaTable(table, design, { name: 'CREATE TABLE' }, [], options.signal)
}

/** A lakehouse over any store, in a folder of its own; `close` removes that too. */
export async function openLake(store: ObjectStore = new MemoryStore(), options: LakehouseOptions = {}) {
  const tempFolder = await mkdtemp(join(tmpdir(), 'deltaic-lake-'))
  const lake = await Lakehouse.open(store, {
    lingerMs: 1,
    threads: 2,
    memoryLimitBytes: 2 ** 30,
    locations: false,
    tempFolder,
    ...options,
  })
  return Object.assign(lake, {
    async [Symbol.asyncDispose]() {
      await lake.close()
      await rm(tempFolder, { recursive: true, force: true })
    },
  })
}

/** A lakehouse in a folder of its own, which goes with the last test of the file. */
export async function diskLake(): Promise<{ readonly lake: Lakehouse; readonly folder: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'deltaic-lake-'))
  const lake = await openLakehouse(folder, { threads: 2, memoryLimitBytes: 2 ** 29 })
  afterAll(async () => {
    await lake.close()
    await rm(folder, { recursive: true, force: true })
  })
  return { lake, folder }
}

/** What a query answers, as plain objects; 64-bit integers as numbers. */
export async function rowsOf(lake: Lakehouse, sql: string): Promise<Record<string, unknown>[]> {
  const rows = await (await lake.sql(sql)).rows()
  return rows.map((row) =>
    Object.fromEntries(Object.entries(row).map(([name, value]) => [name, typeof value === 'bigint' ? Number(value) : value])),
  )
}

/** NDJSON of some rows. */
export function ndjson(...rows: readonly unknown[]): Buffer {
  return Buffer.from(rows.map((row) => `${typeof row === 'string' ? row : JSON.stringify(row)}\n`).join(''))
}

export const PROTOCOL: Action = { protocol: { minReaderVersion: 1, minWriterVersion: 2 } }

/** The metadata of a table of `id BIGINT, v STRING`, for logs made by hand. */
export function metadata(configuration: Readonly<Record<string, string>> = {}): Action {
  const field = (name: string, type: string) => ({ name, type, nullable: true, metadata: {} })
  return {
    metaData: {
      id: 'c0ffee00-0000-4000-8000-000000000000',
      format: { provider: 'parquet', options: {} },
      schemaString: JSON.stringify({ type: 'struct', fields: [field('id', 'long'), field('v', 'string')] }),
      partitionColumns: [],
      configuration,
    },
  }
}

export function addOf(path: string, more: Partial<AddFile> = {}): AddFile {
  return { path, partitionValues: {}, size: 10, modificationTime: 1, dataChange: true, ...more }
}

export function removeOf(path: string, more: Partial<RemoveFile> = {}): RemoveFile {
  return { path, dataChange: true, deletionTimestamp: Date.UTC(2026, 0, 1), ...more }
}

/** Writes a log by hand: one list of actions, or raw text, a version. */
export async function writeLog(store: ObjectStore, ...commits: readonly (readonly Action[] | string)[]): Promise<void> {
  for (const [version, actions] of commits.entries())
    await store.put(
      commitPath(version),
      typeof actions === 'string' ? Buffer.from(actions) : formatCommit(actions.length > 0 ? actions : [{ commitInfo: {} }]),
    )
}
