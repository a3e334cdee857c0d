import type { UndoSummary, VersionRange } from '../ops/undo.js'
import type { ChangeRowsOptions } from './options.js'

export interface UndoOptions extends ChangeRowsOptions {
  /** The commits to take back: one version, or from one to another, both included. */
  readonly versions: VersionRange | number
  /** A SQL condition: only rows that came with those commits and for which it is true. */
  readonly where?: string | undefined
  /** What becomes of rows that later commits have updated or merged. @defaultValue 'keep' */
  readonly changed?: 'keep' | 'remove' | undefined
  /** Take nothing out, and tell what would be. @defaultValue false */
  readonly dryRun?: boolean | undefined
  /** Let the proof add up every row of the table, or those alone that change. @defaultValue 'changes' */
  readonly proof?: 'changes' | 'table' | undefined
}

/** What an undo did, or would do. */
export interface UndoResult extends UndoSummary {
  readonly elapsedMs: number
}
