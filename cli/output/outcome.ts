import type { Context } from '../context.js'
import { type Cell, toJson } from './relation.js'

/** What an operation did: a sentence for people, else the facts as one object or one row. */
export async function printOutcome<Outcome extends { readonly [K in keyof Outcome]: Cell }>(
  context: Context,
  outcome: Outcome,
  sentence: string,
): Promise<void> {
  const { output } = context.settings
  if (output === 'table') await context.out.write(`${sentence}\n`)
  else if (output === 'json') await context.out.write(`${toJson(outcome)}\n`)
  else {
    const names = Object.keys(outcome) as (keyof Outcome & string)[]
    await context.print<Outcome>(
      names.map((name) => ({ name, value: (row) => row[name], isNumber: typeof outcome[name] === 'number' })),
      [outcome],
    )
  }
}
