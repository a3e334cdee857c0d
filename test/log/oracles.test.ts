// Logs that other engines wrote, found on disk. They say things twice: a checkpoint what the commits before it say, a
// version checksum what the state at its version is. Both have to agree with our replay.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { ident } from '../../src/engine/sql-text.js'
import { isDeltaError } from '../../src/index.js'
import { FilesRelation } from '../../src/log/files-relation.js'
import { checksumOf } from '../../src/log/last-checkpoint.js'
import { type LogListing, listLog } from '../../src/log/log-listing.js'
import { TableLog } from '../../src/log/table-log.js'
import type { DomainMetadata, Metadata, Protocol, SetTransaction } from '../../src/protocol/actions.js'
import { LAST_CHECKPOINT_PATH, LOG_FOLDER, parseLogPath } from '../../src/protocol/log-path.js'
import { MemoryStore } from '../../src/storage/memory.js'
import { describeWhen } from '../support/needs.js'
import { sharedFolder } from '../support/peers.js'
import { openWorld } from '../support/world.js'

const root = join(sharedFolder, 'tables')
const tables = tablesUnder(root)
const world = await openWorld()
const seen = { checkpoints: 0, checksums: 0, hints: 0, versions: 0, refused: [] as string[] }

afterAll(() => {
  const { refused, ...counts } = seen
  if (tables.length > 0) console.info(`agreed: ${JSON.stringify(counts)}; left out: ${JSON.stringify(countBy(refused))}`)
})

const countBy = (words: readonly string[]) => Object.fromEntries(words.map((w) => [w, words.filter((x) => x === w).length]))

function tablesUnder(folder: string): string[] {
  if (!existsSync(folder)) return []
  if (existsSync(join(folder, LOG_FOLDER))) return [folder]
  const below = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory())
  return below.flatMap((entry) => tablesUnder(join(folder, entry.name)))
}

/** The log files of a table, by path. */
function logOf(table: string): Map<string, Uint8Array> {
  const names = readdirSync(join(table, LOG_FOLDER), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return new Map(
    names.map((entry) => {
      const path = join(entry.parentPath, entry.name)
      return [relative(table, path), readFileSync(path)]
    }),
  )
}

async function storeOf(files: ReadonlyMap<string, Uint8Array>, keep: (path: string) => boolean = () => true) {
  const store = new MemoryStore()
  for (const [path, bytes] of files) if (keep(path)) await store.put(path, bytes)
  return store
}

const kindOf = (path: string) => parseLogPath(path.slice(LOG_FOLDER.length + 1))
const isSidecar = (path: string) => path.startsWith(`${LOG_FOLDER}/_sidecars/`)

interface State {
  readonly files: readonly string[]
  readonly sizes: readonly number[]
  readonly vectors: readonly number[]
  readonly protocol: Protocol
  readonly metadata: Metadata
  readonly txns: readonly SetTransaction[]
  readonly domains: readonly DomainMetadata[]
}

/** An object without what may be left out or spelt as null or empty; lists that are sets are sorted. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  const members = Object.entries(value).map(([key, member]) => [key, plain(member)] as const)
  return Object.fromEntries(
    members.filter(([, member]) => member !== null && JSON.stringify(member) !== '{}').sort(([a], [b]) => (a < b ? -1 : 1)),
  )
}
const asSet = (items: Iterable<object>) => [...items].map((item) => JSON.stringify(plain(item))).toSorted()
const protocolOf = ({ readerFeatures, writerFeatures, ...versions }: Protocol) =>
  plain({ ...versions, readerFeatures: readerFeatures?.toSorted(), writerFeatures: writerFeatures?.toSorted() })

async function stateOf(log: TableLog): Promise<State> {
  const { name } = await log.files()
  const rows = await world.database.rows<{ text: string; size: bigint; vector: bigint | null }>(
    `SELECT to_json({f: file, d: dv_id, s: size, p: "partitionValues", b: "baseRowId", v: "defaultRowCommitVersion"})::VARCHAR AS text, ` +
      `"size", "deletionVector".cardinality AS vector FROM ${ident(name)} WHERE ${FilesRelation.liveAt(log.version)}`,
  )
  return {
    files: rows.map(({ text }) => text).toSorted(),
    sizes: rows.map(({ size }) => Number(size)),
    vectors: rows.flatMap(({ vector }) => (vector === null ? [] : [Number(vector)])),
    ...log.stateAt(log.version),
    txns: [...log.transactions()].map(({ committedAt: _, ...txn }) => txn),
    domains: [...log.domainMetadata()],
  }
}

/** What two states must share. */
const comparable = (state: State) => ({
  files: state.files,
  protocol: protocolOf(state.protocol),
  metadata: plain(state.metadata),
  txns: asSet(state.txns),
  domains: asSet(state.domains),
})

/** The first version from which no commit is missing: 0, or a checkpoint's. `undefined` when the newest version is out of reach. */
function firstOfWholeRun({ commits, checkpoints }: LogListing): number | undefined {
  const newest = commits.at(-1) ?? checkpoints[0]?.version ?? -1
  const bases = [...(commits[0] === 0 ? [0] : []), ...checkpoints.map(({ version }) => version).toReversed()]
  return bases.find((base) => commits.filter((commit) => commit > base).length === newest - base)
}

/** The state of every version that can be rebuilt, each read on top of the one before as somebody does who follows the table. */
async function statesOf(files: ReadonlyMap<string, Uint8Array>): Promise<Map<number, State>> {
  const listing = await listLog(await storeOf(files), 0)
  const states = new Map<number, State>()
  const first = firstOfWholeRun(listing)
  if (first === undefined) return states
  const store = await storeOf(files, (path) => {
    const found = kindOf(path)
    return isSidecar(path) || (found !== undefined && found.version <= first)
  })
  const { deps } = world.table(store)
  let log = await TableLog.load(deps)
  states.set(log.version, await stateOf(log))
  for (const version of listing.commits.filter((commit) => commit > first)) {
    for (const [path, bytes] of files) {
      const found = kindOf(path)
      if (found?.kind === 'commit' && found.version === version) await store.put(path, bytes)
    }
    if (!(await log.follow())) {
      await log.close()
      log = await TableLog.load(deps)
    }
    expect(log.version).toBe(version)
    states.set(version, await stateOf(log))
  }
  await log.close()
  return states
}

async function loadOnce(files: ReadonlyMap<string, Uint8Array>, keep: (path: string) => boolean, version?: number) {
  const log = await TableLog.load(world.table(await storeOf(files, keep)).deps, version)
  try {
    return await stateOf(log)
  } finally {
    await log.close()
  }
}

interface Checksum {
  readonly numFiles: number
  readonly tableSizeBytes: number
  readonly metadata?: Metadata
  readonly protocol?: Protocol
  readonly setTransactions?: readonly SetTransaction[]
  readonly domainMetadata?: readonly DomainMetadata[]
  readonly numDeletionVectorsOpt?: number
  readonly numDeletedRecordsOpt?: number
  readonly histogramOpt?: { sortedBinBoundaries: number[]; fileCounts: number[]; totalBytes: number[] }
}

function expectChecksum(told: Checksum, state: State): void {
  const bytes = state.sizes.reduce((sum, size) => sum + size, 0)
  expect({ files: state.files.length, bytes }).toEqual({ files: told.numFiles, bytes: told.tableSizeBytes })
  if (told.protocol) expect(protocolOf(state.protocol)).toEqual(protocolOf(told.protocol))
  if (told.metadata) expect(plain(state.metadata)).toEqual(plain(told.metadata))
  if (told.setTransactions) expect(asSet(state.txns)).toEqual(asSet(told.setTransactions))
  if (told.domainMetadata) expect(asSet(state.domains)).toEqual(asSet(told.domainMetadata))
  if (told.numDeletionVectorsOpt !== undefined) expect(state.vectors.length).toBe(told.numDeletionVectorsOpt)
  if (told.numDeletedRecordsOpt !== undefined)
    expect(state.vectors.reduce((sum, rows) => sum + rows, 0)).toBe(told.numDeletedRecordsOpt)
  if (told.histogramOpt) {
    const { sortedBinBoundaries: bounds, fileCounts, totalBytes } = told.histogramOpt
    const inBin = (at: number) => state.sizes.filter((size) => bounds.findLastIndex((bound) => bound <= size) === at)
    expect(bounds.map((_, at) => inBin(at).length)).toEqual(fileCounts)
    expect(bounds.map((_, at) => inBin(at).reduce((sum, size) => sum + size, 0))).toEqual(totalBytes)
  }
}

describeWhen(tables.length > 0, `no tables in ${root}`, 'the log of another engine', () => {
  it.for(tables.map((path) => [relative(root, path), path] as const))(
    '%s says the same in each of its ways',
    async ([, path]) => {
      const files = logOf(path)
      let states: Map<number, State>
      try {
        states = await statesOf(files)
      } catch (error) {
        if (!isDeltaError(error)) throw error
        seen.refused.push([error.code, error.details['features']].filter(Boolean).join(' '))
        return
      }
      if (states.size === 0) seen.refused.push('a commit is missing')
      seen.versions += states.size
      const newest = [...states.keys()].at(-1)
      const last = newest === undefined ? undefined : states.get(newest)
      if (last) {
        for (const keep of [() => true, (name: string) => kindOf(name)?.kind !== 'compacted']) {
          const atOnce = await loadOnce(files, keep)
          if (atOnce.metadata.id === last.metadata.id) expect(comparable(atOnce)).toEqual(comparable(last))
        }
      }
      for (const checkpoint of (await listLog(await storeOf(files), 0)).checkpoints) {
        const state = states.get(checkpoint.version)
        if (!state) continue
        const alone = await loadOnce(files, (name) => isSidecar(name) || checkpoint.paths.includes(name)).catch(
          (error: unknown) => {
            if (!isDeltaError(error) || error.code !== 'CHECKPOINT_DAMAGED') throw error
          },
        )
        if (!alone) seen.refused.push('a checkpoint is damaged')
        else if (alone.metadata.id !== state.metadata.id) seen.refused.push('a checkpoint is of another table')
        else {
          expect(comparable(alone), checkpoint.paths[0]).toEqual(comparable(state))
          seen.checkpoints++
        }
      }
      for (const [name, bytes] of files) {
        const found = kindOf(name)
        const state = found?.kind === 'checksum' ? states.get(found.version) : undefined
        const told = state && parsed<Checksum>(bytes)
        if (!state || !told) continue
        expectChecksum(told, state)
        seen.checksums++
      }
      const hint = parsed<{ checksum?: string }>(files.get(LAST_CHECKPOINT_PATH) ?? new Uint8Array())
      if (hint?.checksum !== undefined) {
        expect(checksumOf(hint)).toBe(hint.checksum)
        seen.hints++
      }
    },
  )
})

function parsed<T>(bytes: Uint8Array): T | undefined {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8')) as T
  } catch {
    return undefined
  }
}
