import { crc32 } from 'node:zlib'
import { DeltaError } from '../base/errors.js'
import type { Metadata, Protocol } from '../protocol/actions.js'
import { isAsSealed } from '../protocol/commit-seal.js'
import { supportedFeatures } from '../protocol/table-features.js'
import type { TableTotals } from './table-totals.js'

/** What a version checksum says that can be held against a log. */
export interface ChecksumClaims {
  readonly files: number
  readonly bytes: number
  readonly vectors: number | undefined
  readonly deletedRows: number | undefined
  readonly metadata: Metadata | undefined
  readonly protocol: Protocol | undefined
  /** Of the commit that it was made for. */
  readonly txnId: string | undefined
}

/**
 * Reads a version checksum. One that is damaged, or does not add up itself, is no witness: `undefined`. Pure.
 *
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#version-checksum-file
 */
export function parseChecksum(bytes: Uint8Array): ChecksumClaims | undefined {
  try {
    const said = JSON.parse(Buffer.from(bytes).toString('utf8')) as Readonly<Record<string, unknown>>
    const { numFiles: files, tableSizeBytes, fileSizeHistogram } = said
    if (!isAsSealed(bytes, said['checksum'], crc32)) return undefined
    if (!isCount(files) || !isCount(tableSizeBytes)) return undefined
    const { fileCounts, totalBytes } = (fileSizeHistogram ?? {}) as {
      readonly fileCounts?: unknown
      readonly totalBytes?: unknown
    }
    if (!addsUp(fileCounts, files) || !addsUp(totalBytes, tableSizeBytes)) return undefined
    return {
      files,
      bytes: tableSizeBytes,
      vectors: isCount(said['numDeletionVectorsOpt']) ? said['numDeletionVectorsOpt'] : undefined,
      deletedRows: isCount(said['numDeletedRecordsOpt']) ? said['numDeletedRecordsOpt'] : undefined,
      metadata: isObject(said['metadata']) ? (said['metadata'] as unknown as Metadata) : undefined,
      protocol: isObject(said['protocol']) ? (said['protocol'] as unknown as Protocol) : undefined,
      txnId: typeof said['txnId'] === 'string' ? said['txnId'] : undefined,
    }
  } catch {
    return undefined
  }
}

interface State {
  readonly metadata: Metadata
  readonly protocol: Protocol
}

/**
 * Holds a version against what its checksum says. One that was left behind by another table, which stood here before, says
 * nothing. Pure.
 *
 * @returns `CHECKSUM_MISMATCH` where they differ: the log is damaged, or else the checksum is.
 */
export function mismatchOf(
  claims: ChecksumClaims,
  totals: TableTotals,
  state: State,
  file: string,
  version: number,
): DeltaError | undefined {
  if (claims.metadata && claims.metadata.id !== state.metadata.id) return undefined
  const wrong = [
    ...differing('files', claims.files, totals.files),
    ...differing('bytes', claims.bytes, totals.bytes),
    ...differing('vectors', claims.vectors, totals.vectors),
    ...differing('deletedRows', claims.deletedRows, totals.deletedRows),
    ...differing('protocol', claims.protocol && protocolText(claims.protocol), protocolText(state.protocol)),
    ...differing('metadata', claims.metadata && metadataText(claims.metadata), metadataText(state.metadata)),
  ]
  if (wrong.length === 0) return undefined
  return new DeltaError(
    'CHECKSUM_MISMATCH',
    `the log does not add up to what the checksum of a version says: ${wrong.join(', ')}`,
    { file, version },
    {
      hint: 'a commit or a checkpoint is damaged: restore it from a copy; if it is the checksum that is wrong, fsck tells, and with repair takes it away',
    },
  )
}

function differing<T extends string | number>(what: string, said: T | undefined, found: T): string[] {
  if (said === undefined || said === found) return []
  return [typeof said === 'number' ? `${what} ${said}, not ${found}` : what]
}

function protocolText(protocol: Protocol): string {
  const { minReaderVersion, minWriterVersion } = protocol
  return JSON.stringify([minReaderVersion, minWriterVersion, supportedFeatures(protocol).toSorted()])
}

function metadataText({ schemaString, partitionColumns = [], configuration = {} }: Partial<Metadata>): string {
  return JSON.stringify([schemaString, partitionColumns, Object.entries(configuration).sort()])
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

/** Whether a list of a histogram, where there is one, has this sum. */
function addsUp(list: unknown, total: number): boolean {
  return !Array.isArray(list) || list.reduce((sum: number, value) => sum + Number(value), 0) === total
}
