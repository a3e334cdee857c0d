import { DeltaError } from '../base/errors.js'
import type { Optimize } from '../sql/statements/maintenance.js'

/** Statements that are read and that nothing here carries out. */
const WITHOUT_EXECUTOR = {
  generate: 'GENERATE',
} as const

export function statementUnsupported({ kind }: { readonly kind: keyof typeof WITHOUT_EXECUTOR }): DeltaError {
  return unsupported(WITHOUT_EXECUTOR[kind])
}

/** @throws {DeltaError} `STATEMENT_UNSUPPORTED` for the first clause that nothing here carries out. */
export function checkOptimize({ full }: Optimize): void {
  if (full) throw unsupported('OPTIMIZE … FULL')
}

function unsupported(what: string, hint?: string): DeltaError {
  return new DeltaError('STATEMENT_UNSUPPORTED', `deltaic does not have ${what}`, {}, { hint })
}
