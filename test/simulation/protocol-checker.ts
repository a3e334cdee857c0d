// A reader of Delta tables of its own: it shares no line with the engine that it judges. Small tables only.
import { RoaringBitmap32 } from 'roaring-wasm'

export type Row = readonly [id: number, v: string]

/** What the checker reads of a file of rows: by position. */
export type Rows = ReadonlyMap<string, readonly Row[]>

export interface LoggedCommit {
  readonly version: number
  readonly info: Readonly<Record<string, unknown>>
  readonly adds: readonly LoggedFile[]
  readonly removes: readonly LoggedFile[]
  readonly txns: readonly { readonly appId: string; readonly version: number }[]
}

interface LoggedFile {
  readonly path: string
  readonly size?: number
  readonly stats?: string
  readonly dataChange: boolean
  readonly deletionVector?: Vector | null
}

interface Vector {
  readonly storageType: string
  readonly pathOrInlineDv: string
  readonly offset?: number | null
  readonly sizeInBytes: number
  readonly cardinality: number
}

const KINDS = new Set(['commitInfo', 'protocol', 'metaData', 'txn', 'domainMetadata', 'add', 'remove', 'cdc'])

/** PROTOCOL.md#delta-log-entries: entries from 0 on without a gap, an action a line. */
export function readLog(objects: ReadonlyMap<string, Uint8Array>, wrong: (what: string) => void): LoggedCommit[] {
  const commits: LoggedCommit[] = []
  for (let version = 0; ; version++) {
    const path = `_delta_log/${String(version).padStart(20, '0')}.json`
    const bytes = objects.get(path)
    if (!bytes) break
    const actions = linesOf(bytes, path, wrong)
    for (const action of actions)
      if (Object.keys(action).length !== 1 || !KINDS.has(Object.keys(action)[0] ?? ''))
        wrong(`${path} has a line that is no action`)
    const all = <T>(kind: string) => actions.flatMap((action) => (action[kind] as T | undefined) ?? [])
    const [info, ...infos] = all<Record<string, unknown>>('commitInfo')
    if (!info || infos.length > 0) wrong(`${path} has not one commitInfo`)
    if (version === 0 && (all('protocol').length !== 1 || all('metaData').length !== 1))
      wrong(`${path} has no protocol or no metadata`)
    for (const kind of ['protocol', 'metaData']) if (all(kind).length > 1) wrong(`${path} has two ${kind}`)
    const txns = all<{ appId: string; version: number }>('txn')
    if (new Set(txns.map(({ appId }) => appId)).size < txns.length) wrong(`${path} sets a producer twice`)
    commits.push({ version, info: info ?? {}, adds: all('add'), removes: all('remove'), txns })
  }
  const last = Math.max(-1, ...[...objects.keys()].map((path) => Number(/^_delta_log\/(\d{20})\.json$/.exec(path)?.[1] ?? -1)))
  if (last >= commits.length) wrong(`the log has a gap at ${commits.length}`)
  return commits
}

function linesOf(bytes: Uint8Array, path: string, wrong: (what: string) => void): Record<string, never>[] {
  const lines = Buffer.from(bytes).toString().split('\n')
  return lines.flatMap((line) => {
    if (line === '') return []
    try {
      return [JSON.parse(line) as Record<string, never>]
    } catch {
      wrong(`${path} has a line that is no JSON`)
      return []
    }
  })
}

const keyOf = ({ path, deletionVector: dv }: LoggedFile) =>
  JSON.stringify([path, dv ? `${dv.storageType}${dv.pathOrInlineDv}@${dv.offset ?? ''}` : null])

/** PROTOCOL.md#action-reconciliation: the files of each version. */
export function replay(commits: readonly LoggedCommit[], wrong: (what: string) => void): ReadonlyMap<string, LoggedFile>[] {
  let live = new Map<string, LoggedFile>()
  const producers = new Map<string, number>()
  return commits.map(({ version, adds, removes, txns }) => {
    live = new Map(live)
    for (const remove of removes)
      if (!live.delete(keyOf(remove))) wrong(`version ${version} removes ${remove.path}, which is not there`)
    const paths = new Set([...live.values()].map(({ path }) => path))
    for (const add of adds) {
      if (paths.has(add.path)) wrong(`version ${version} adds ${add.path}, which is there`)
      paths.add(add.path)
      live.set(keyOf(add), add)
    }
    for (const txn of txns) {
      if ((producers.get(txn.appId) ?? -1) >= txn.version)
        wrong(`version ${version} takes producer ${txn.appId} back to ${txn.version}`)
      producers.set(txn.appId, txn.version)
    }
    return live
  })
}

/** The rows of a version, deleted ones left out. */
export function rowsOf(
  files: Iterable<LoggedFile>,
  rows: Rows,
  objects: ReadonlyMap<string, Uint8Array>,
  wrong: (what: string) => void,
): Map<number, string> {
  const found = new Map<number, string>()
  for (const { path, size, stats, deletionVector } of files) {
    const inFile = rows.get(path)
    if (!inFile) {
      wrong(`${path} is named, and never was`)
      continue
    }
    if (objects.get(path)?.length !== size) wrong(`${path} is of another size than the log says`)
    const { numRecords } = JSON.parse(stats ?? '{}') as { readonly numRecords?: number }
    if (numRecords !== undefined && numRecords !== inFile.length)
      wrong(`${path} has ${inFile.length} rows, and the log says ${numRecords}`)
    const deleted = deletionVector ? deletedRows(deletionVector, objects) : new Set<number>()
    if (deletionVector && deleted.size !== deletionVector.cardinality) wrong(`${path} has a vector of another cardinality`)
    for (const [at, [id, v]] of inFile.entries()) {
      if (deleted.has(at)) continue
      if (found.has(id)) wrong(`row ${id} is there twice`)
      found.set(id, v)
    }
  }
  return found
}

const Z85 = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#'

function fromZ85(text: string): Buffer {
  const words = text.match(/.{5}/g) ?? []
  const bytes = Buffer.alloc(words.length * 4)
  for (const [at, word] of words.entries())
    bytes.writeUInt32BE(
      [...word].reduce((sum, digit) => sum * 85 + Z85.indexOf(digit), 0),
      at * 4,
    )
  return bytes
}

/** PROTOCOL.md#deletion-vectors: inline, or in a file that is named by a UUID. */
function deletedRows(
  { storageType, pathOrInlineDv, offset, sizeInBytes }: Vector,
  objects: ReadonlyMap<string, Uint8Array>,
): Set<number> {
  let bytes = fromZ85(pathOrInlineDv)
  if (storageType === 'u') {
    const hex = fromZ85(pathOrInlineDv.slice(-20)).toString('hex')
    const uuid = hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
    const prefix = pathOrInlineDv.slice(0, -20)
    const file = objects.get(`${prefix && `${prefix}/`}deletion_vector_${uuid}.bin`)
    if (!file) return new Set()
    bytes = Buffer.from(file).subarray((offset ?? 1) + 4, (offset ?? 1) + 4 + sizeInBytes)
  }
  const buckets = Number(bytes.readBigInt64LE(4))
  if (buckets !== 1) throw new Error('the checker reads vectors of one bucket')
  return new Set(RoaringBitmap32.deserialize(bytes.subarray(16, sizeInBytes), 'portable').toArray())
}

/** Where the vectors of files lie that are no part of a descriptor. */
export function vectorPath({ storageType, pathOrInlineDv }: Vector): string | undefined {
  if (storageType !== 'u') return undefined
  const hex = fromZ85(pathOrInlineDv.slice(-20)).toString('hex')
  const prefix = pathOrInlineDv.slice(0, -20)
  return `${prefix && `${prefix}/`}deletion_vector_${hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')}.bin`
}
