import { DeltaError } from '../base/errors.js'
import type { AddFile, DomainMetadata, Metadata, Protocol, RemoveFile } from '../protocol/actions.js'
import { tableProperties } from '../protocol/properties.js'
import { supportedFeatures } from '../protocol/table-features.js'
import { ROW_TRACKING_DOMAIN } from './conflict.js'
import { withMore } from './fresh-files.js'

export interface RowIds {
  readonly adds: readonly AddFile[]
  /** The new mark up to which ids are given out; none when it stays where it was. */
  readonly domain: DomainMetadata | undefined
}

/** Whether new files of a table need row ids. @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#row-tracking */
export function givesRowIds(protocol: Protocol, metadata: Metadata): boolean {
  return supportedFeatures(protocol).includes('rowTracking') && !tableProperties(metadata.configuration).rowTrackingSuspended
}

/**
 * Gives ids to the rows of new files, one after the other from the mark on. Pure.
 *
 * A file that has ids keeps them, and so does one whose deletion vector is swapped: its rows are where they were. What a
 * table that suspended row tracking gets has none.
 *
 * @param mark the highest id given out so far, -1 for none. It never goes back.
 * @throws {DeltaError} `ARGUMENT_INVALID` for a new file whose statistics do not tell its rows.
 */
export function assignRowIds(adds: readonly AddFile[], removes: readonly RemoveFile[], version: number, mark: number): RowIds {
  let next = mark + 1
  const before = new Map(removes.map((remove) => [remove.path, remove]))
  const assigned = adds.map((add) => {
    const known = add.baseRowId === undefined || add.baseRowId === null ? before.get(add.path) : add
    if (known?.baseRowId !== undefined && known.baseRowId !== null) {
      next = Math.max(next, known.baseRowId + rowsOf(add))
      return known === add ? add : withMore(add, rowIdsOf(known))
    }
    const baseRowId = next
    next += rowsOf(add)
    return withMore(add, { baseRowId, defaultRowCommitVersion: version })
  })
  if (!Number.isSafeInteger(next)) throw new DeltaError('FEATURE_UNSUPPORTED', 'row ids come past 2^53', { mark })
  return { adds: assigned, domain: next - 1 > mark ? markDomain(next - 1) : undefined }
}

/** The highest row id given out, -1 for none. */
export function rowIdMark(domains: Iterable<DomainMetadata>): number {
  for (const { domain, configuration } of domains) {
    if (domain !== ROW_TRACKING_DOMAIN) continue
    const { rowIdHighWaterMark = -1 } = JSON.parse(configuration) as { rowIdHighWaterMark?: number }
    if (!Number.isSafeInteger(rowIdHighWaterMark))
      throw new DeltaError('FEATURE_UNSUPPORTED', 'row ids come past 2^53', { domain }, { hint: 'use another engine' })
    return rowIdHighWaterMark
  }
  return -1
}

function rowIdsOf({ baseRowId, defaultRowCommitVersion }: Pick<RemoveFile, 'baseRowId' | 'defaultRowCommitVersion'>) {
  return { baseRowId, ...(defaultRowCommitVersion === undefined ? {} : { defaultRowCommitVersion }) }
}

function rowsOf(add: AddFile): number {
  const { numRecords } = JSON.parse(add.stats ?? '{}') as { numRecords?: unknown }
  if (!Number.isSafeInteger(numRecords))
    throw new DeltaError(
      'ARGUMENT_INVALID',
      'a file without its number of rows cannot get row ids',
      { file: add.path },
      { hint: 'give numRecords in its statistics' },
    )
  return numRecords as number
}

function markDomain(rowIdHighWaterMark: number): DomainMetadata {
  return {
    domain: ROW_TRACKING_DOMAIN,
    configuration: JSON.stringify({ rowIdHighWaterMark, domainName: ROW_TRACKING_DOMAIN }),
    removed: false,
  }
}
