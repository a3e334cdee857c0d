import { quoteText } from './arguments.js'
import { UsageError } from './errors.js'

export interface AsOfFlags {
  readonly version?: number
  readonly timestamp?: string
}

/** What stands behind a table's name in a query; empty for the newest version. */
export function asOfClause({ version, timestamp }: AsOfFlags): string {
  if (version !== undefined && timestamp !== undefined) throw new UsageError('--version and --timestamp are one too many')
  if (version !== undefined) return `VERSION AS OF ${version}`
  return timestamp === undefined ? '' : `TIMESTAMP AS OF ${quoteText(timestamp)}`
}
