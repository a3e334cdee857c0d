import { DeltaError } from '../base/errors.js'

/** Statements that are read and that nothing here carries out. */
const WITHOUT_EXECUTOR = {
  generate: 'GENERATE',
} as const

export function statementUnsupported({ kind }: { readonly kind: keyof typeof WITHOUT_EXECUTOR }): DeltaError {
  return unsupported(WITHOUT_EXECUTOR[kind])
}

function unsupported(what: string, hint?: string): DeltaError {
  return new DeltaError('STATEMENT_UNSUPPORTED', `deltaic does not have ${what}`, {}, { hint })
}
