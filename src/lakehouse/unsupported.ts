import { DeltaError } from '../base/errors.js'
import type { Insert } from '../sql/statements/insert.js'
import type { Optimize } from '../sql/statements/maintenance.js'
import type { Merge } from '../sql/statements/merge.js'

/** Statements that are read and that nothing here carries out. */
const WITHOUT_EXECUTOR = {
  generate: 'GENERATE',
} as const

export function statementUnsupported({ kind }: { readonly kind: keyof typeof WITHOUT_EXECUTOR }): DeltaError {
  return unsupported(WITHOUT_EXECUTOR[kind])
}

/** @throws {DeltaError} `STATEMENT_UNSUPPORTED` for the first clause that nothing here carries out. */
export function checkInsert({ withSchemaEvolution }: Insert): void {
  if (withSchemaEvolution) throw unsupported('INSERT WITH SCHEMA EVOLUTION')
}

/** @throws {DeltaError} `STATEMENT_UNSUPPORTED` for the clause that nothing here carries out. */
export function checkMerge({ withSchemaEvolution }: Merge): void {
  if (withSchemaEvolution) throw unsupported('MERGE WITH SCHEMA EVOLUTION')
}

/** @throws {DeltaError} `STATEMENT_UNSUPPORTED` for the first clause that nothing here carries out. */
export function checkOptimize({ full }: Optimize): void {
  if (full) throw unsupported('OPTIMIZE … FULL')
}

function unsupported(what: string, hint?: string): DeltaError {
  return new DeltaError('STATEMENT_UNSUPPORTED', `deltaic does not have ${what}`, {}, { hint })
}
