import { DeltaError } from '../base/errors.js'
import type { Database } from '../engine/database.js'
import { checkAllowed } from './allow-list.js'
import { bindParameters, type ParameterValues } from './parameters.js'
import { type AsOfCut, type ChangesRef, readQuery, type TravelRef } from './query-text.js'
import { parseQuery } from './syntax-tree.js'

/** An instant, as text that casts to TIMESTAMP WITH TIME ZONE, and the version of the source by which it is judged. */
export interface AsOfTime {
  readonly time: string
  readonly known: number | undefined
}

/** A version, or a time in milliseconds since 1970-01-01 UTC. */
export type Moment = { readonly version: number } | { readonly timestampMs: number }

/** The moments between which a query asks what changed. */
export async function rangeOf({ from, to }: ChangesRef, evaluate: (ref: { readonly expression: string }) => Promise<Moment>) {
  return { from: await evaluate({ expression: from }), to: to === undefined ? undefined : await evaluate({ expression: to }) }
}

/** The version that a range of changes ends with. */
export function endOf(range: { readonly to: Moment | undefined } | undefined): {
  readonly version?: number
  readonly timestampMs?: number
  readonly orLatest?: boolean
} {
  if (!range?.to) return {}
  return 'timestampMs' in range.to ? { ...range.to, orLatest: true } : range.to
}

/** A number is a version, anything else a time. */
const UNIT_OF = (expression: string) =>
  `CASE WHEN typeof(${expression}) SIMILAR TO '(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DOUBLE|FLOAT|DECIMAL.*)' THEN 'version' ELSE 'timestamp' END`

/** The instant up to which a query asks for a view. @throws {DeltaError} `SQL_INVALID` */
export async function asOfTime(
  planner: Database,
  { time, known }: AsOfCut,
  params: ParameterValues | undefined,
  signal: AbortSignal | undefined,
): Promise<AsOfTime> {
  const query = readQuery(`SELECT ((${time}\n)::TIMESTAMPTZ)::VARCHAR AS value`)
  if (checkAllowed(await parseQuery(planner, query.text)).tables.length > 0)
    throw new DeltaError('SQL_INVALID', 'a time cannot come from a table', { expression: time })
  const bound = bindParameters(query.parameters, params)
  const [row] = await planner.rows<{ value: string | null }>(query.text, { params: bound, signal })
  if (!row?.value) throw new DeltaError('SQL_INVALID', 'the time is NULL', { expression: time })
  if (known === undefined) return { time: row.value, known }
  const moment = await momentOf(planner, { unit: 'version', expression: known }, params, signal)
  return { time: row.value, known: 'version' in moment ? moment.version : undefined }
}

/** The version or time that a reference asks for; its expression may only be made of constants and parameters. */
export async function momentOf(
  planner: Database,
  { unit: known, expression }: Pick<TravelRef, 'expression'> & { readonly unit?: TravelRef['unit'] | undefined },
  params: ParameterValues | undefined,
  signal: AbortSignal | undefined,
): Promise<Moment> {
  const evaluate = async <T>(select: string) => {
    const query = readQuery(`SELECT ${select} AS value`)
    const references = checkAllowed(await parseQuery(planner, query.text))
    if (references.tables.length > 0)
      throw new DeltaError('SQL_INVALID', 'a version or time cannot come from a table', { expression })
    const [row] = await planner.rows<{ value: T | null }>(query.text, {
      params: bindParameters(query.parameters, params),
      signal,
    })
    return row?.value
  }
  const unit = known ?? (await evaluate<string>(UNIT_OF(`(${expression})`)))
  const moment = await evaluate<bigint | number>(
    unit === 'version' ? `(${expression})::DOUBLE` : `epoch_ms((${expression})::TIMESTAMPTZ)`,
  )
  if (moment == null) throw new DeltaError('SQL_INVALID', 'the version or time is NULL', { expression })
  if (unit === 'version' && !Number.isSafeInteger(moment))
    throw new DeltaError('SQL_INVALID', 'a version is a whole number', { expression })
  return unit === 'version' ? { version: Number(moment) } : { timestampMs: Number(moment) }
}
