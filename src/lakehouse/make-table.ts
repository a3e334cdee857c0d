import { DeltaError } from '../base/errors.js'
import { replaceTable } from '../ops/replace-table.js'
import type { CommittedBatch } from '../protocol/actions.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { StagedFiles } from '../table/stage.js'
import { type CheckedDesign, createDeltaTable, newMetadata, parametersOf } from './create.js'
import { tableExists } from './names.js'

/** What becomes of a table that is there: it stays in the way, or gives place; with `replace` there has to be one. */
export type CreateMode = 'create' | 'createOrReplace' | 'replace'

export interface MakeOptions {
  readonly mode: CreateMode
  readonly ifNotExists: boolean
  /** Transactions that the rows come with. */
  readonly batches?: readonly CommittedBatch[] | undefined
  readonly signal?: AbortSignal | undefined
}

export interface Made {
  /** False when the table that was there stays as it is. */
  readonly created: boolean
  /** The table's newest version. */
  readonly version: number
  /** Files of the table that it replaces. */
  readonly filesRemoved: number
}

/**
 * Makes a table, or puts it in the place of the one that is there.
 *
 * @param staged the rows of a query that it is made from.
 * @throws {DeltaError} `TABLE_EXISTS`, `TABLE_NOT_FOUND`, `COMMIT_CONFLICT`, `TABLE_APPEND_ONLY`.
 */
export async function makeTable(
  delta: DeltaTable,
  name: string,
  design: CheckedDesign,
  staged: StagedFiles | undefined,
  { mode, ifNotExists, batches = [], signal }: MakeOptions,
): Promise<Made> {
  const operation = (verb: string) => `${verb}${staged ? ' AS SELECT' : ''}`
  const isThere = mode !== 'create' && (await delta.exists())
  if (!isThere && mode === 'replace')
    throw new DeltaError('TABLE_NOT_FOUND', 'there is no such table to be replaced', { table: name })
  if (!isThere) {
    const metrics = staged && { numFiles: staged.adds.length, numOutputRows: staged.rows, numOutputBytes: staged.bytes }
    const verb = operation(mode === 'create' ? 'CREATE TABLE' : 'CREATE OR REPLACE TABLE')
    const now = delta.deps.clock.now()
    const txns = batches.map(({ appId, version }) => ({ txn: { appId, version, lastUpdated: now } }))
    const files = [...txns, ...(staged?.adds.map((add) => ({ add })) ?? [])]
    if (await createDeltaTable(delta, design, { name: verb, metrics }, files, signal))
      return { created: true, version: 0, filesRemoved: 0 }
    // Somebody else made a table of this name meanwhile.
    if (mode === 'create') {
      if (!ifNotExists) throw tableExists(name)
      return { created: false, version: (await delta.snapshot()).version, filesRemoved: 0 }
    }
  }
  const metadata = await newMetadata(delta, design)
  const replaced = await replaceTable(
    delta,
    { metadata, protocol: design.protocol, domains: design.domains, batches },
    staged ?? { adds: [], rows: 0, bytes: 0 },
    {
      name: operation(mode === 'replace' ? 'REPLACE TABLE' : 'CREATE OR REPLACE TABLE'),
      parameters: parametersOf(design, metadata),
    },
    { signal },
  )
  return { created: true, ...replaced }
}
