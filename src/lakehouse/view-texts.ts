import type { Data, Utf8 } from 'apache-arrow'
import { recordBatches } from '../engine/arrow-out.js'
import { ident } from '../engine/sql-text.js'
import type { View } from '../views/view.js'
import { jsonSql } from './json-sql.js'
import { type RunContext, type RunRequest, readyQuery } from './query-runner.js'
import { type KeyValues, keyCast } from './view-lookup.js'

/** A key and its row, as bytes of text; no row for a key that is not there. */
export type TextPair = readonly [key: Uint8Array, row: Uint8Array | undefined]

/** Pairs of texts as the engine has them, for as long as the next is not asked for. */
export async function* texts(
  context: RunContext,
  request: Pick<RunRequest, 'text' | 'params' | 'relations' | 'signal'>,
): AsyncGenerator<TextPair> {
  const { plan, session, release } = await readyQuery(context, request)
  try {
    for await (const batch of recordBatches(await session.stream(plan.text, { params: plan.params }), {})) {
      const [keys, rows] = [batch.getChildAt(0)?.data[0], batch.getChildAt(1)?.data[0]]
      for (let at = 0; at < batch.numRows; at++) yield [textAt(keys, at) ?? NO_TEXT, textAt(rows, at)]
    }
  } finally {
    release(false)
  }
}

const NO_TEXT = new Uint8Array()

function textAt(column: Data | undefined, at: number): Uint8Array | undefined {
  if (!column?.getValid(at)) return undefined
  const { values, valueOffsets } = column as Data<Utf8>
  return values.subarray(valueOffsets[at] ?? 0, valueOffsets[at + 1] ?? 0)
}

/** A row of the view `v` as JSON, as answers to queries have it. */
export function rowSql({ plan }: View): string {
  const members = plan.columns.map(({ name, type }) => `${ident(name)} := ${jsonSql(type, `v.${ident(name)}`)}`)
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
  for await (const [text] of texts(context, { text: `SELECT ${parts.map(partSql).join(' || ')}`, params })) return text.slice()
  return NO_TEXT
}

function isCanonical(type: string, text: string): boolean {
  if (type === 'VARCHAR') return true
  if (type === 'BOOLEAN') return text === 'true' || text === 'false'
  if (/^(TINYINT|SMALLINT|INTEGER|BIGINT)$/.test(type)) return /^(0|-?[1-9]\d{0,17})$/.test(text)
  return type === 'DATE' && /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text))
}
