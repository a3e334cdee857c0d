import { randomUUID } from 'node:crypto'
import { isDeltaError } from '../base/errors.js'
import { literal } from '../engine/sql-text.js'
import { formatLogPath, type LogPath, logFilePath, SIDECAR_FOLDER } from '../protocol/log-path.js'
import { tableProperties } from '../protocol/properties.js'
import { supportedFeatures } from '../protocol/table-features.js'
import { isRemembered } from '../protocol/transactions.js'
import { CHECKPOINT_HEAD, type Sidecar } from './checkpoint-read.js'
import { addStruct, checkpointFiles, fileActions, fileRanges } from './checkpoint-rows.js'
import { sumOfFile } from './file-sum.js'
import { type FileSums, forgetSum, type LastCheckpoint, pointToCheckpoint, SUM_TAG } from './last-checkpoint.js'
import { cleanUpLog, expiryDay } from './log-cleanup.js'
import type { LogHead } from './log-head.js'
import type { LogDependencies, TableLog } from './table-log.js'

export interface WrittenCheckpoint {
  readonly version: number
  /** Actions in it. */
  readonly size: number
  readonly sizeInBytes: number
}

/** What a checkpoint holds beside files, as wrapped actions. */
type HeadAction = { readonly [kind in keyof typeof CHECKPOINT_HEAD]?: object }

/** As many file actions as a sidecar holds at most. */
const SIDECAR_ACTIONS_MAX = 100_000

/**
 * Writes the checkpoint of the log's newest version, or of the one that `head` was taken at, and points `_last_checkpoint` to it, unless that already points to a later one. The
 * files of a version stay in the relation when the log goes on. It is a v2 checkpoint with sidecars where `delta.checkpointPolicy` is `v2` and the feature is supported, otherwise a
 * classic one. Rows go from the files relation to Parquet inside the engine.
 *
 * Tombstones are kept for the table's `delta.deletedFileRetentionDuration` before `nowMs`, and producers for as long as
 * `isRemembered` says; the log itself forgets the others with the checkpoint.
 *
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#checkpoints
 */
export async function writeCheckpoint(
  deps: LogDependencies,
  log: TableLog,
  nowMs: number,
  head: LogHead = log.head(),
  sidecarActionsMax = SIDECAR_ACTIONS_MAX,
): Promise<WrittenCheckpoint> {
  const { version, protocol, metadata, txns, domains } = head
  const properties = tableProperties(metadata.configuration)
  const remembered = txns.filter((txn) => isRemembered(txn, properties, nowMs))
  const actions: HeadAction[] = [
    { protocol },
    { metaData: metadata },
    ...remembered.map((txn) => ({ txn })),
    ...domains.map((domainMetadata) => ({ domainMetadata })),
  ]
  const relation = await log.files()
  const rows = checkpointFiles(relation, version, nowMs - properties.deletedFileRetentionMs)
  const add = addStruct(relation, properties)
  const isV2 = properties.checkpointPolicy === 'v2' && supportedFeatures(protocol).includes('v2Checkpoint')
  const { pointer, sums } = isV2
    ? await writeV2(deps, version, actions, rows, add, nowMs, sidecarActionsMax)
    : await writeClassic(deps, version, [...headRows(actions), ...fileActions(rows, add)])
  await pointToCheckpoint(deps.store, pointer, sums)
  log.forget(txns.filter((txn) => !isRemembered(txn, properties, nowMs)))
  return { version, size: pointer.size, sizeInBytes: pointer.sizeInBytes }
}

interface Written {
  readonly pointer: LastCheckpoint
  readonly sums: FileSums
}

async function writeClassic(deps: LogDependencies, version: number, selects: readonly string[]): Promise<Written> {
  const name: LogPath = { kind: 'checkpoint', version }
  await forgetSum(deps.store, formatLogPath(name))
  const { rows, bytes, sum } = await copyTo(deps, logFilePath(name), selects)
  return { pointer: { version, size: rows, sizeInBytes: bytes }, sums: { [formatLogPath(name)]: sum } }
}

/** Sidecars first: a checkpoint never names a file that is not there. */
async function writeV2(
  deps: LogDependencies,
  version: number,
  head: readonly HeadAction[],
  rows: ReturnType<typeof checkpointFiles>,
  add: string,
  nowMs: number,
  sidecarActionsMax: number,
): Promise<Written> {
  const ranges = await deps.database.rows<{ first: string; last: string; adds: bigint; actions: bigint }>(
    fileRanges(rows, sidecarActionsMax),
  )
  const sidecars: Sidecar[] = []
  for (const { first, last } of ranges) {
    const path = `${randomUUID()}.parquet`
    const selects = fileActions(rows, add, `rowid BETWEEN ${first} AND ${last}`)
    const { bytes, sum } = await copyTo(deps, `${SIDECAR_FOLDER}/${path}`, selects)
    sidecars.push({ path, sizeInBytes: bytes, modificationTime: nowMs, tags: { [SUM_TAG]: sum } })
  }
  const total = (numbers: readonly (number | bigint)[]) => numbers.reduce<number>((before, n) => before + Number(n), 0)
  const [numActions, numAdds] = [total(ranges.map(({ actions }) => actions)), total(ranges.map(({ adds }) => adds))]
  const sidecarBytes = total(sidecars.map(({ sizeInBytes }) => sizeInBytes))
  const tags = { sidecarNumActions: numActions, sidecarSizeInBytes: sidecarBytes, numOfAddFiles: numAdds }
  const checkpointMetadata = {
    version,
    tags: Object.fromEntries(Object.entries(tags).map(([tag, value]) => [tag, String(value)])),
  }
  const nonFileActions = [...head, { checkpointMetadata }]
  const name: LogPath = { kind: 'uuid-checkpoint', version, uuid: randomUUID(), format: 'parquet' }
  const top = await copyTo(deps, logFilePath(name), [
    ...headRows([...nonFileActions, ...sidecars.map((sidecar) => ({ sidecar }))]),
    // Spark asks for the columns of file actions here too.
    ...fileActions(rows, add, 'FALSE'),
  ])
  const pointer = {
    version,
    size: top.rows + numActions,
    sizeInBytes: top.bytes + sidecarBytes,
    numOfAddFiles: numAdds,
    v2Checkpoint: {
      path: formatLogPath(name),
      sizeInBytes: top.bytes,
      modificationTime: nowMs,
      nonFileActions,
      sidecarFiles: sidecars,
    },
  }
  return { pointer, sums: { [formatLogPath(name)]: top.sum } }
}

async function copyTo(deps: LogDependencies, path: string, selects: readonly string[]) {
  const file = deps.spool.file('parquet')
  try {
    const [copied] = await deps.database.rows<{ count: bigint; file_size_bytes: bigint }>(
      `COPY (${selects.join(' UNION ALL BY NAME ')}) TO ${literal(file)} (FORMAT parquet, COMPRESSION snappy, RETURN_STATS)`,
    )
    const sum = await sumOfFile(file)
    await deps.store.putFile(path, file, { folderMustExist: !path.startsWith(SIDECAR_FOLDER) })
    return { rows: Number(copied?.count ?? 0), bytes: Number(copied?.file_size_bytes ?? 0), sum }
  } finally {
    await deps.spool.remove(file)
  }
}

/** A SELECT for each kind of action. */
function headRows(actions: readonly HeadAction[]): string[] {
  return (Object.keys(CHECKPOINT_HEAD) as (keyof typeof CHECKPOINT_HEAD)[]).flatMap((kind) => {
    const some = actions.flatMap((action) => action[kind] ?? [])
    const structure = literal(JSON.stringify(`${CHECKPOINT_HEAD[kind]}[]`))
    // A classic checkpoint without producers has their column all the same, as other writers give it.
    if (some.length === 0 && (kind === 'sidecar' || kind === 'checkpointMetadata')) return []
    return [`SELECT unnest(json_transform(${literal(JSON.stringify(some))}::JSON, ${structure})) AS "${kind}"`]
  })
}

/** Writes a checkpoint, and cleans up the log when the day has changed on which its entries expire; reports a failure as an event: the commit stands either way. */
export async function checkpointBehind(
  deps: LogDependencies,
  log: TableLog,
  head: LogHead,
  nowMs: number,
  elapsed: () => number,
): Promise<void> {
  const { version } = head
  const report = (what: string) => (error: unknown) => {
    if (!isDeltaError(error)) throw error
    deps.events({ type: 'degraded', table: deps.store.uri, what, error })
  }
  const checkpointed = () => deps.events({ type: 'checkpointed', table: deps.store.uri, version, elapsedMs: elapsed() })
  await writeCheckpoint(deps, log, nowMs, head).then(checkpointed, report(`write the checkpoint of version ${version}`))
  const day = expiryDay(head.metadata, nowMs)
  if (log.cleanedUpFor === day) return
  const cleanedUp = () => {
    log.cleanedUpFor = day
  }
  await cleanUpLog(deps, log, nowMs).then(cleanedUp, report('clean up the log'))
}
