import { writeFile } from 'node:fs/promises'
import type { Engines } from '../../src/lakehouse/engines.js'
import type { Disk } from './disk.js'
import { type LoggedCommit, type Row, readLog, replay, rowsOf, vectorPath } from './protocol-checker.js'

export interface Batch {
  /** `undefined` for one without a sequence, which nobody repeats. */
  readonly producer: string | undefined
  readonly sequence: number
  readonly rows: readonly Row[]
  /** Versions that acknowledgements named. */
  readonly acks: number[]
}

/** A DELETE, or an UPDATE to `v`, of the rows with these ids. */
export interface Change {
  readonly from: number
  readonly to: number
  readonly v: string | undefined
  version: number | undefined
}

export interface Reading {
  readonly version: number
  readonly rows: ReadonlyMap<number, string>
  /** The newest version that had been acknowledged when it began. */
  readonly ackedBefore: number
}

/** What was done to a table, as those saw it who did it. */
export class Ledger {
  readonly batches: Batch[] = []
  readonly changes: Change[] = []
  readonly readings: Reading[] = []
  acked = 0

  ack(version: number): number {
    this.acked = Math.max(this.acked, version)
    return version
  }
}

export interface Judgement {
  /** Each a sentence. */
  readonly wrong: readonly string[]
  /** By version. */
  readonly rows: readonly ReadonlyMap<number, string>[]
  readonly commits: readonly LoggedCommit[]
}

/** Versions go as far back as these durations, in milliseconds. */
export interface Retention {
  readonly filesMs: number
  readonly skewMs: number
}

const FOLDER = 't/'

/** Holds what is on a disk to what the ledger says. */
export async function judge(
  disk: Disk,
  ledger: Ledger,
  engines: Engines,
  retention: Retention,
  isFresh: boolean,
): Promise<Judgement> {
  const found = new Set<string>()
  const wrong = (what: string) => found.add(what)
  const ever = new Map<string, Uint8Array>()
  for (const { path, bytes } of disk.gone) if (path.startsWith(FOLDER)) ever.set(path.slice(FOLDER.length), bytes)
  for (const [path, { bytes }] of disk.objects) if (path.startsWith(FOLDER)) ever.set(path.slice(FOLDER.length), bytes)
  const commits = readLog(ever, wrong)
  const files = replay(commits, wrong)
  const parquet = await rowsOfFiles(ever, new Set(commits.flatMap(({ adds }) => adds.map(({ path }) => path))), engines, wrong)
  const rows = files.map((live) => rowsOf(live.values(), parquet, ever, wrong))
  checkSteps(commits, rows, ledger, wrong)
  checkBatches(commits, rows, ledger, wrong)
  for (const { version, rows: read, ackedBefore } of ledger.readings) {
    if (!isSame(rows[version], read)) wrong(`a query read version ${version} as it is not: ${difference(rows[version], read)}`)
    if (isFresh && version < ackedBefore) wrong(`a query read version ${version} after ${ackedBefore} had been acknowledged`)
  }
  checkGone(disk, commits, files, retention, wrong)
  return { wrong: [...found], rows, commits }
}

async function rowsOfFiles(
  ever: ReadonlyMap<string, Uint8Array>,
  named: ReadonlySet<string>,
  engines: Engines,
  wrong: (what: string) => void,
) {
  const found = new Map<string, Row[]>()
  const local = new Map<string, string>()
  for (const path of named) {
    const bytes = ever.get(path)
    if (!bytes) continue
    if (Buffer.from(bytes.slice(-4)).toString() !== 'PAR1') {
      wrong(`${path} is cut short`)
      continue
    }
    const file = engines.spool.file('parquet')
    await writeFile(file, bytes)
    local.set(file, path)
    found.set(path, [])
  }
  if (local.size === 0) return found
  const rows = await engines.work.rows<{ file: string; id: bigint; v: string }>(
    `SELECT filename AS file, id, v FROM read_parquet([${[...local.keys()].map((file) => `'${file}'`).join(', ')}], filename = true, ` +
      'file_row_number = true) ORDER BY filename, file_row_number',
  )
  for (const { file, id, v } of rows) found.get(local.get(file) ?? '')?.push([Number(id), v])
  return found
}

/** Each version follows from the one before by what its commit says it did, and by nothing else. */
function checkSteps(
  commits: readonly LoggedCommit[],
  rows: readonly ReadonlyMap<number, string>[],
  ledger: Ledger,
  wrong: (what: string) => void,
): void {
  for (const { version, info } of commits) {
    const [before, after] = [rows[version - 1] ?? new Map<number, string>(), rows[version] ?? new Map<number, string>()]
    const came = [...after.keys()].filter((id) => !before.has(id))
    const went = [...before.keys()].filter((id) => !after.has(id))
    const changed = [...after.keys()].filter((id) => before.has(id) && before.get(id) !== after.get(id))
    const operation = String(info['operation'])
    const says = `version ${version} (${operation})`
    if (operation === 'WRITE') {
      if (went.length + changed.length > 0) wrong(`${says} takes rows away: ${[...went, ...changed].join()}`)
      continue
    }
    if (came.length > 0) wrong(`${says} brings rows: ${came.join()}`)
    if (operation !== 'DELETE' && operation !== 'UPDATE') {
      if (went.length + changed.length > 0) wrong(`${says} takes rows away: ${[...went, ...changed].join()}`)
      continue
    }
    const { predicate } = info['operationParameters'] as { readonly predicate: string }
    const [, low = '', high = ''] = /id >= (\d+) AND id < (\d+)/.exec(predicate) ?? []
    const change = ledger.changes.find(({ from, to }) => from === Number(low) && to === Number(high))
    if (!change) {
      wrong(`${says} is of nobody's doing: ${predicate}`)
      continue
    }
    const isMeant = (id: number) => id >= change.from && id < change.to
    // Rows that were appended after it had looked may stay: they come after it.
    const seen = [...(rows[Number(info['readVersion'])] ?? new Map<number, string>()).keys()].filter(
      (id) => isMeant(id) && before.has(id),
    )
    if (operation === 'DELETE') {
      if (change.v !== undefined || changed.length > 0 || !went.every(isMeant)) wrong(`${says} takes away what it should not`)
      if (seen.some((id) => after.has(id)))
        wrong(`${says} leaves rows that it had seen: ${seen.filter((id) => after.has(id)).join()}`)
    } else {
      if (went.length > 0 || !changed.every((id) => isMeant(id) && after.get(id) === change.v))
        wrong(`${says} changes what it should not`)
      if (seen.some((id) => after.get(id) !== change.v)) wrong(`${says} leaves rows that it had seen`)
    }
    if (change.version !== undefined && change.version !== version) wrong(`${says} was acknowledged as ${change.version}`)
    change.version = version
  }
}

/** Every acknowledged row came once, every other one at most once; a batch comes whole. */
function checkBatches(
  commits: readonly LoggedCommit[],
  rows: readonly ReadonlyMap<number, string>[],
  ledger: Ledger,
  wrong: (what: string) => void,
): void {
  const cameAt = new Map<number, number[]>()
  for (const { version } of commits)
    for (const id of rows[version]?.keys() ?? [])
      if (!rows[version - 1]?.has(id)) cameAt.set(id, [...(cameAt.get(id) ?? []), version])
  const sent = new Set(ledger.batches.flatMap((batch) => batch.rows.map(([id]) => id)))
  for (const id of cameAt.keys()) if (!sent.has(id)) wrong(`row ${id} was never sent`)
  for (const { producer, sequence, rows: all, acks } of ledger.batches) {
    const name = `batch ${producer ?? 'without a producer'} ${sequence}`
    const versions = new Set(all.flatMap(([id]) => cameAt.get(id) ?? []))
    if (versions.size > 1) wrong(`${name} came at versions ${[...versions].join()}`)
    const [at] = versions
    if (at !== undefined && !all.every(([id]) => rows[at]?.has(id))) wrong(`${name} came in part`)
    for (const ack of acks) {
      if (at === undefined) wrong(`${name} was acknowledged at ${ack} and never came`)
      // A checkpoint keeps how far a producer came, and not at which version.
      else if (ack < at) wrong(`${name} came at ${at} and was acknowledged at ${ack}`)
    }
  }
}

/** No file goes that a version within the retention needs, or that a later one names. */
function checkGone(
  disk: Disk,
  commits: readonly LoggedCommit[],
  files: readonly ReadonlyMap<
    string,
    { readonly path: string; readonly deletionVector?: Parameters<typeof vectorPath>[0] | null }
  >[],
  { filesMs, skewMs }: Retention,
  wrong: (what: string) => void,
): void {
  const times = commitTimes(disk)
  const lastNamed = new Map<string, number>()
  for (const { version } of commits)
    for (const { path, deletionVector } of files[version]?.values() ?? [])
      for (const one of [path, deletionVector ? (vectorPath(deletionVector) ?? path) : path])
        lastNamed.set(`${FOLDER}${one}`, version)
  for (const { path, goneAtMs } of disk.gone) {
    const last = lastNamed.get(path)
    if (last === undefined || disk.objects.has(path)) continue
    const endedMs = times.get(last + 1)
    if (endedMs === undefined) wrong(`${path} is gone, and the newest version names it`)
    else if (endedMs > goneAtMs - filesMs + skewMs)
      wrong(`${path} went ${Math.round((goneAtMs - endedMs) / 60_000)} minutes after version ${last}`)
  }
  for (const path of lastNamed.keys())
    if (!disk.objects.has(path) && !disk.gone.some((gone) => gone.path === path)) wrong(`${path} is named and was never there`)
}

/** When the entry of each version was written. */
export function commitTimes(disk: Disk): ReadonlyMap<number, number> {
  const times = new Map<number, number>()
  const all = [...disk.gone, ...[...disk.objects].map(([path, { writtenAtMs }]) => ({ path, writtenAtMs }))]
  for (const { path, writtenAtMs } of all) {
    const version = /^t\/_delta_log\/(\d{20})\.json$/.exec(path)?.[1]
    if (version !== undefined) times.set(Number(version), writtenAtMs)
  }
  return times
}

function isSame(one: ReadonlyMap<number, string> | undefined, other: ReadonlyMap<number, string>): boolean {
  return one?.size === other.size && [...other].every(([id, v]) => one.get(id) === v)
}

function difference(one: ReadonlyMap<number, string> | undefined, other: ReadonlyMap<number, string>): string {
  const missing = [...(one?.keys() ?? [])].filter((id) => !other.has(id))
  const more = [...other.keys()].filter((id) => !one?.has(id))
  return `missing ${missing.join() || 'none'}, more ${more.join() || 'none'}`
}
