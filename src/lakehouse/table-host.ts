import { createReadStream } from 'node:fs'
import { access } from 'node:fs/promises'
import { resolve } from 'node:path'
import { DeltaError } from '../base/errors.js'
import type { StructField } from '../protocol/schema.js'
import type { TableRequest } from '../sql/planner.js'
import type { ObjectStore } from '../storage/store.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { RunContext } from './query-runner.js'
import type { SpoolRoom } from './spool-room.js'
import type { IngestTotals } from './stats.js'

/** What a table needs of the lakehouse around it. */
export interface TableHost extends RunContext {
  /** Finds a table that is there. */
  readonly find: (request: TableRequest) => Promise<DeltaTable | undefined>
  readonly lingerMs: number
  readonly spoolRoom: SpoolRoom
  readonly ingested: IngestTotals
  /** The table that holds the lines of another which were not taken; it is made where there is none. */
  rejectsTable(of: string): Promise<RejectsTable>
  /** Creates a table with these columns, unless somebody else just did. */
  create(name: string, fields: readonly StructField[]): Promise<void>
  tableClosed(): Promise<void>
  /** Views that read a table, directly or through others. */
  viewsOver(name: string, signal: AbortSignal | undefined): Promise<readonly { readonly name: string }[]>
  /** Another store than the lakehouse's own, reached the same way. */
  openStore(uri: string): ObjectStore
  /** The path of a file to read, checked to be there. */
  existingFile(path: string): Promise<string>
  readFile(path: string): Promise<AsyncIterable<Uint8Array>>
}

/** Takes lines that were not taken elsewhere. */
export interface RejectsTable {
  append(
    ndjson: Uint8Array,
    options: { readonly format: 'ndjson'; readonly txn?: { readonly appId: string; readonly version: number } | undefined },
  ): Promise<unknown>
}

export async function existingFile(path: string): Promise<string> {
  const file = resolve(path)
  try {
    await access(file)
  } catch (cause) {
    throw new DeltaError('FILE_NOT_FOUND', 'there is no such file, or it cannot be read', { file: path }, { cause })
  }
  return file
}

export async function readFile(path: string): Promise<AsyncIterable<Uint8Array>> {
  return createReadStream(await existingFile(path)) as AsyncIterable<Uint8Array>
}
