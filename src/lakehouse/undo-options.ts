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
  /**
   * `check` computes each view over the table from its definition, over the whole of its sources: after the undo to prove it, and of
   * a dry run to tell how it would change. `skip` does neither, and the result says so. @defaultValue 'check'
   */
  readonly views?: 'check' | 'skip' | undefined
}

/** How the rows of a view would change. */
export interface ViewChange {
  readonly view: string
  /** How many would be others, go or come; of a view without a key, one that becomes another goes and comes. */
  readonly rows: number
  /** Some of them, as JSON text: as they are and as they would be, `null` for one that is not there. */
  readonly examples: readonly { readonly before: string | null; readonly after: string | null }[]
}

/** Whether a view is what its definition makes of its sources, floating point numbers to nine digits. */
export interface ViewProof {
  readonly view: string
  /** `undefined` where the view cannot be read, or was not looked at; `problem` says why. */
  readonly holds: boolean | undefined
  readonly rows: number | undefined
  readonly rowsDiffering: number | undefined
  readonly problem: string | undefined
}

/** What an undo did, or would do. */
export interface UndoResult extends UndoSummary {
  /** Of a dry run that looked at views, for each view over the table, directly or through others. */
  readonly viewChanges: readonly ViewChange[] | undefined
  /** After an undo that changed something, for each of those views. */
  readonly viewProofs: readonly ViewProof[] | undefined
  readonly elapsedMs: number
}
