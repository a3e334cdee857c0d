import type { Clock } from '../base/clock.js'
import type { Random } from '../base/random.js'
import type { CommitInfo } from '../protocol/actions.js'
import type { IsolationLevel } from './conflict.js'
import { ENGINE_INFO } from './engine-info.js'

/** What the table's history says about a commit. */
export interface Operation {
  /** A name of Delta's own, such as `WRITE`, `OPTIMIZE`. */
  readonly name: string
  /** As Spark writes them: lists and maps are JSON text, few values are booleans or numbers. */
  readonly parameters?: Readonly<Record<string, string | number | boolean | null>> | undefined
  readonly metrics?: Readonly<Record<string, number>> | undefined
  readonly userMetadata?: string | undefined
  /** Whether every row that it moved kept its id; left out by those that move none. */
  readonly keepsRowIds?: boolean | undefined
}

interface CommitFacts {
  readonly isolationLevel: IsolationLevel
  readonly isBlindAppend: boolean
  readonly readVersion?: number | undefined
  readonly batches?: CommitInfo['batches']
}

/** The provenance line of a commit, with a fresh `txnId`; fields in the order in which Spark writes them. */
export function commitInfoOf(
  deps: { readonly clock: Clock; readonly random: Random },
  operation: Operation,
  { readVersion, isolationLevel, isBlindAppend, batches }: CommitFacts,
): CommitInfo {
  const metrics = Object.entries(operation.metrics ?? {}).map(([name, value]) => [name, String(value)])
  const { userMetadata, keepsRowIds } = operation
  return {
    timestamp: deps.clock.now(),
    operation: operation.name,
    operationParameters: operation.parameters ?? {},
    ...(readVersion === undefined ? {} : { readVersion }),
    isolationLevel,
    isBlindAppend,
    operationMetrics: Object.fromEntries(metrics) as Record<string, string>,
    ...(userMetadata === undefined ? {} : { userMetadata }),
    ...(keepsRowIds === undefined ? {} : { tags: { 'delta.rowTracking.preserved': String(keepsRowIds) } }),
    ...(batches === undefined || batches.length === 0 ? {} : { batches }),
    engineInfo: ENGINE_INFO,
    txnId: deps.random.uuid(),
  }
}
