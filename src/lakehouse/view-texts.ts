import type { Data, Utf8 } from 'apache-arrow'
import { recordBatches } from '../engine/arrow-out.js'
import type { Parameters, Session } from '../engine/database.js'
import { ident } from '../engine/sql-text.js'
import type { View } from '../views/view.js'
import { jsonSql } from './json-sql.js'
import { type RunContext, type RunRequest, readyQuery } from './query-runner.js'
import { type KeyValues, keyCast } from './view-lookup.js'

/** Rows of texts, as bytes. */
export interface TextRows {
  readonly rows: number
  /** @returns `undefined` where it is NULL. */
  text(row: number, column: number): Uint8Array | undefined
}

/** Rows of texts as the engine has them, some at a time. */
export async function* textRows(
  session: Session,
  text: string,
  {
    params,
    rowsAtOnce: rowsPerBatch,
  }: { readonly params?: Parameters | undefined; readonly rowsAtOnce?: number | undefined } = {},
): AsyncGenerator<TextRows> {
  for await (const batch of recordBatches(await session.stream(text, { params }), { rowsPerBatch })) {
    const columns = batch.schema.fields.map((_, at) => batch.getChildAt(at)?.data[0])
    yield { rows: batch.numRows, text: (row, column) => textAt(columns[column], row) }
  }
}

/** The same for a query over tables of the lakehouse. */
export async function* queriedTexts(
  context: RunContext,
  request: Pick<RunRequest, 'text' | 'params' | 'relations' | 'signal'>,
): AsyncGenerator<TextRows> {
  const { plan, session, release } = await readyQuery(context, request)
  try {
    yield* textRows(session, plan.text, { params: plan.params })
  } finally {
    release(false)
  }
}

function textAt(column: Data | undefined, at: number): Uint8Array | undefined {
  if (!column?.getValid(at)) return undefined
  const { values, valueOffsets } = column as Data<Utf8>
  return values.subarray(valueOffsets[at] ?? 0, valueOffsets[at + 1] ?? 0)
}

/** A row of the view `v` as JSON, as answers to queries have it. */
export function rowSql({ plan }: View, shown = (name: string, _at: number): string => `v.${ident(name)}`): string {
  const members = plan.columns.map(({ name, type }, at) => `${ident(name)} := ${jsonSql(type, shown(name, at))}`)
  return `to_json(struct_pack(${members.join(', ')}))::VARCHAR`
}

/** The key of a row of the view `v`. */
export function keySql({ key }: View): string {
  return key.map((name) => partSql(`v.${ident(name)}`)).join(' || ')
}

/** A part of a key, with its length before it, so that no two keys have one text. */
export function partSql(value: string): string {
  return `CASE WHEN ${value} IS NULL THEN 'n' ELSE strlen(${value}::VARCHAR)::VARCHAR || ':' || ${value}::VARCHAR END`
}

/** A key as `keySql` writes it; `undefined` for one that only the engine can write so. */
export function keyText(view: View, values: KeyValues): Uint8Array | undefined {
  const parts = values.map((value, nth) => {
    if (value === null) return 'n'
    const text = String(value)
    const type = view.plan.columns.find(({ name }) => name === view.key[nth])?.type ?? ''
    return isCanonical(type, text) ? `${Buffer.byteLength(text)}:${text}` : undefined
  })
  return parts.includes(undefined) ? undefined : Buffer.from(parts.join(''))
}

/** A key as `keySql` writes it, by the engine. @throws {DeltaError} `SQL_INVALID` for a value that is none of its column's type. */
export async function keyTextOf(context: RunContext, view: View, values: KeyValues): Promise<Uint8Array> {
  const params = values.filter((value) => value !== null).map(String)
  let given = 0
  const parts = values.map((value, nth) => (value === null ? 'NULL::VARCHAR' : keyCast(view, nth, ++given)))
  const text = `SELECT ${parts.map(partSql).join(' || ')}`
  for await (const rows of queriedTexts(context, { text, params })) return rows.text(0, 0) ?? NO_TEXT
  return NO_TEXT
}

const NO_TEXT = new Uint8Array()

function isCanonical(type: string, text: string): boolean {
  if (type === 'VARCHAR') return true
  if (type === 'BOOLEAN') return text === 'true' || text === 'false'
  if (/^(TINYINT|SMALLINT|INTEGER|BIGINT)$/.test(type)) return /^(0|-?[1-9]\d{0,17})$/.test(text)
  return type === 'DATE' && /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text))
}
