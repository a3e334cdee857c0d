import { DeltaError } from '../src/index.js'
import { HttpError } from './errors.js'

/** The media types of each answer; the first is what goes out. A list for people and programs: the order breaks ties. */
export const ANSWER_TYPES = {
  json: ['application/json'],
  ndjson: ['application/x-ndjson', 'application/ndjson', 'application/jsonl'],
  csv: ['text/csv'],
  arrow: ['application/vnd.apache.arrow.stream'],
  parquet: ['application/vnd.apache.parquet'],
  table: ['text/plain'],
} as const satisfies Record<string, readonly string[]>

export type AnswerFormat = keyof typeof ANSWER_TYPES

export const ANSWER_FORMATS = Object.keys(ANSWER_TYPES) as readonly AnswerFormat[]

/** Rows come in as they go out, but for the table for people. */
export const ROW_TYPES: Readonly<Record<Exclude<AnswerFormat, 'table'>, readonly string[]>> = (({ table: _, ...types }) => types)(
  ANSWER_TYPES,
)

/** What curl calls `--data-binary` when it is told nothing: NDJSON, which nothing that a form sends is. */
const CURL_TYPE = 'application/x-www-form-urlencoded'

export type RowFormat = keyof typeof ROW_TYPES

type Encoding = 'none' | 'gzip' | 'br' | 'zstd'

const COMPRESSIONS: ReadonlyMap<string, Encoding> = new Map([
  ['identity', 'none'],
  ['gzip', 'gzip'],
  ['x-gzip', 'gzip'],
  ['br', 'br'],
  ['zstd', 'zstd'],
])

/** The `Content-Type` of an answer. */
export function contentTypeOf(format: AnswerFormat): string {
  const type = ANSWER_TYPES[format][0]
  return type.startsWith('text/') ? `${type}; charset=utf-8` : type
}

/**
 * Chooses by an `Accept` header: the range the caller likes best, and of its formats the first. JSON where anything is welcome.
 *
 * @throws {HttpError} `NOT_ACCEPTABLE` when nothing fits.
 */
export function negotiate(accept: string | undefined): AnswerFormat {
  const ranges = parseAccept(accept ?? '*/*')
  const refused = new Set(ranges.filter(({ quality }) => quality === 0).map(({ range }) => range))
  const wanted = ranges.filter(({ quality }) => quality > 0).toSorted((a, b) => b.quality - a.quality)
  for (const { range } of wanted) {
    const format = ANSWER_FORMATS.find((name) => ANSWER_TYPES[name].some((type) => covers(range, type) && !refused.has(type)))
    if (format) return format
  }
  const types = ANSWER_FORMATS.map((name) => ANSWER_TYPES[name][0])
  throw new HttpError(
    'NOT_ACCEPTABLE',
    'no answer has a type that Accept names',
    { types },
    `ask for one of ${types.join(', ')}, or use ?format=`,
  )
}

const ROW_FORMATS: ReadonlyMap<string, RowFormat> = new Map([
  [CURL_TYPE, 'ndjson'],
  ...(Object.keys(ROW_TYPES) as readonly RowFormat[]).flatMap((name) => ROW_TYPES[name].map((type) => [type, name] as const)),
])
const CHARSETS: ReadonlySet<string> = new Set(['utf-8', 'utf8', 'us-ascii'])

/**
 * What a body of rows is, by its `Content-Type`.
 *
 * @throws {DeltaError} `INPUT_FORMAT_UNKNOWN`
 */
export function rowFormat(contentType: string | undefined): RowFormat {
  const known = ROW_FORMATS.get(contentType ?? '')
  if (known) return known
  const [type = '', ...parameters] = (contentType ?? '')
    .toLowerCase()
    .split(';')
    .map((part) => part.trim())
  const charset = parameters
    .find((parameter) => parameter.startsWith('charset='))
    ?.slice('charset='.length)
    .replaceAll('"', '')
  const format = ROW_FORMATS.get(type)
  if (format && (charset === undefined || CHARSETS.has(charset))) return format
  const types = Object.values(ROW_TYPES).map(([first]) => first)
  throw new DeltaError(
    'INPUT_FORMAT_UNKNOWN',
    'rows do not come as this content type',
    { contentType: contentType ?? 'none', types },
    { hint: `say what the body is, in UTF-8, for example -H 'Content-Type: ${types[1]}'` },
  )
}

/**
 * How a body is compressed, by its `Content-Encoding`.
 *
 * @throws {DeltaError} `INPUT_FORMAT_UNKNOWN`
 */
export function rowCompression(contentEncoding: string | undefined): Encoding {
  const found = COMPRESSIONS.get((contentEncoding ?? 'identity').trim().toLowerCase())
  if (found) return found
  throw new DeltaError(
    'INPUT_FORMAT_UNKNOWN',
    'bodies are not read in this encoding',
    { contentEncoding },
    { hint: 'send it as gzip, br or zstd, or as it is' },
  )
}

function parseAccept(header: string): { range: string; quality: number }[] {
  return header
    .toLowerCase()
    .split(',')
    .map((entry) => {
      const [range = '', ...parameters] = entry.split(';').map((part) => part.trim())
      const quality = Number(parameters.find((parameter) => parameter.startsWith('q='))?.slice(2) ?? 1)
      return { range, quality: Number.isFinite(quality) ? quality : 0 }
    })
}

function covers(range: string, type: string): boolean {
  return range === type || range === '*/*' || (range.endsWith('/*') && type.startsWith(range.slice(0, -1)))
}
