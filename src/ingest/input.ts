import { open, stat } from 'node:fs/promises'
import { DeltaError, isDeltaError } from '../base/errors.js'
import { type ArrowInput, arrowToParquet } from '../engine/arrow-in.js'
import type { Connection } from '../engine/database.js'
import type { Spool } from '../engine/spool.js'
import { globLiteral } from '../engine/sql-text.js'
import { field, type StructField } from '../protocol/schema.js'
import { parseType } from '../protocol/type-text.js'
import type { InputField } from '../table/row-columns.js'
import { accessLogFields, accessLogReader, isAccessLog } from './access-log.js'
import { type CsvDialect, csvDialect } from './csv-text.js'
import type { InputFormat } from './formats.js'
import { LineMeter } from './line-meter.js'
import { checkNesting } from './nesting.js'
import {
  checkColumns,
  csvOptions,
  csvReader,
  jsonArrayReader,
  ndjsonReader,
  parquetReader,
  parquetScan,
  type RowReader,
} from './readers.js'

/** Rows on this machine, in a form that the engine reads. */
export interface Input {
  readonly format: InputFormat
  /** The files that hold the rows; several only for Parquet. */
  readonly files: readonly string[]
  readonly sizeBytes: number
  /** The fields of the first row; for JSON, later rows may have others. */
  readonly columns: readonly string[]
  /** The bytes of its one file, in chunks, where they are at hand. */
  readonly held?: readonly Uint8Array[] | undefined
  /** Its lines, where they were counted already. */
  readonly meter?: LineMeter | undefined
  /** How it is written, for CSV. */
  readonly csv?: CsvDialect | undefined
  /** Removes files that were made for this input. */
  release(): Promise<void>
}

/**
 * Looks at a file of one of the formats.
 *
 * @param held the file's bytes, where they are at hand: then it need not be read to be looked at.
 * @throws {DeltaError} `ROWS_INVALID` for a file that is not of its format at all.
 */
export async function openInput(
  connection: Connection,
  spool: Spool,
  format: InputFormat,
  path: string,
  held?: readonly Uint8Array[],
): Promise<Input> {
  const [start] = held ?? []
  if (held && start?.includes(LINE_FEED) && format === 'ndjson')
    return {
      format,
      files: [path],
      sizeBytes: held.reduce((sum, chunk) => sum + chunk.byteLength, 0),
      columns: fieldsOf(Buffer.from(start.buffer, start.byteOffset, start.byteLength)),
      held,
      meter: held.some((chunk) => chunk.includes(CARRIAGE_RETURN)) ? undefined : metered(held),
      release: async () => undefined,
    }
  const plain = { format, files: [path], sizeBytes: (await stat(path)).size, release: async () => undefined }
  switch (format) {
    case 'ndjson':
      return { ...plain, columns: await firstObjectFields(path) }
    case 'json':
      return { ...plain, columns: await jsonFields(connection, path) }
    case 'csv': {
      const csv = await csvDialect(path)
      return { ...plain, columns: csv.header, csv }
    }
    case 'parquet':
      return {
        ...plain,
        columns: (await notOfFormat(format, () => connection.describe(`SELECT * FROM ${parquetScan([path])}`))).map(
          (c) => c.name,
        ),
      }
    case 'arrow':
      return openArrow(connection, spool, readBytes(path))
    case 'clf':
    case 'combined':
    case 'nginx':
      return { ...plain, columns: accessLogFields(format).map((f) => f.name) }
  }
}

/** Arrow data of any shape, by way of Parquet. */
export async function openArrow(connection: Connection, spool: Spool, data: ArrowInput): Promise<Input> {
  const { files } = await arrowToParquet(data, spool.file('parquet'))
  const columns =
    files.length === 0 ? [] : (await connection.describe(`SELECT * FROM ${parquetScan(files)}`)).map((column) => column.name)
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size))
  return {
    format: 'parquet',
    files,
    sizeBytes: sizes.reduce((sum, size) => sum + size, 0),
    columns,
    release: async () => void (await Promise.all(files.map((file) => spool.remove(file)))),
  }
}

/** How the lines of an input become rows of a table with these fields. */
export function readerFor(input: Input, fields: readonly InputField[]): RowReader {
  const [file = ''] = input.files
  switch (input.format) {
    case 'ndjson':
      return ndjsonReader(file, fields, input.columns)
    case 'json':
      return jsonArrayReader(file, fields, input.columns)
    case 'csv':
      checkColumns(input.columns, fields, input.format)
      return csvReader(file, fields, input.csv ?? { delimiter: ',', header: input.columns, blankLines: 0 })
    case 'parquet':
    case 'arrow':
      checkColumns(input.columns, fields, input.format)
      return parquetReader(input.files, fields, input.columns)
    case 'clf':
    case 'combined':
    case 'nginx':
      checkColumns(input.columns, fields, input.format)
      return accessLogReader(file, fields, input.format)
  }
}

/**
 * The columns that a new table needs for an input. Times found in text are instants.
 *
 * @param looksAt how many of its rows tell.
 * @throws {DeltaError} `ROWS_INVALID` when nothing in it tells.
 */
export async function inferFields(
  connection: Connection,
  input: Input,
  looksAt: 'some' | 'all' = 'some',
): Promise<readonly StructField[]> {
  const [file = ''] = input.files
  if (isAccessLog(input.format)) return accessLogFields(input.format)
  if (input.format === 'ndjson' || input.format === 'json') await checkNesting(file, input.format)
  const found = await notOfFormat(input.format, () => connection.describe(`SELECT * FROM ${guessingScan(input, looksAt)}`))
  const fields = found.map(({ name, type }) => {
    const parsed = parseType(type, 'duckdb')
    return field(name, parsed === 'timestamp_ntz' && input.format !== 'parquet' ? 'timestamp' : parsed)
  })
  const nothing = input.columns.length === 0 || (fields.length === 1 && fields[0]?.name === 'json')
  if (nothing)
    throw new DeltaError(
      'ROWS_INVALID',
      'the data does not tell its columns',
      { format: input.format },
      { hint: 'create the table first, with CREATE TABLE' },
    )
  return fields
}

/** An input as the engine reads it by itself, guessing what the text of its columns stands for. */
export function guessingScan(input: Input, looksAt: 'some' | 'all' = 'all'): string {
  const [file = ''] = input.files
  const sample = looksAt === 'all' ? ', sample_size = -1' : ''
  switch (input.format) {
    case 'ndjson':
      return `read_json(${globLiteral(file)}, format = 'newline_delimited', ignore_errors = true${sample})`
    case 'json':
      return `read_json(${globLiteral(file)}${sample})`
    case 'csv':
      return `read_csv(${globLiteral(file)}, header = true${sample}, ${csvOptions(input.csv ?? { delimiter: ',', header: input.columns, blankLines: 0 })})`
    default:
      return parquetScan(input.files)
  }
}

function metered(chunks: readonly Uint8Array[]): LineMeter {
  return chunks.reduce((meter, chunk) => meter.add(chunk), new LineMeter())
}

const [LINE_FEED, CARRIAGE_RETURN] = [0x0a, 0x0d]

/** The lines of a text file; `undefined` where a carriage return makes it doubtful what a line is. */
export async function meterLines(path: string): Promise<LineMeter | undefined> {
  const meter = new LineMeter()
  for await (const chunk of readBytes(path)) {
    if (chunk.includes(CARRIAGE_RETURN)) return undefined
    meter.add(chunk)
  }
  return meter
}

const FIRST_LINE_BYTES = 64 * 1024
const FIRST_LINE_BYTES_MAX = 1024 * 1024

/** The fields of the first line that is not blank; none when that is no JSON object. */
async function firstObjectFields(path: string): Promise<readonly string[]> {
  await using file = await open(path)
  for (const bytesMax of [FIRST_LINE_BYTES, FIRST_LINE_BYTES_MAX]) {
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(bytesMax), 0, bytesMax, 0)
    const start = buffer.subarray(0, bytesRead)
    if (bytesRead < bytesMax || start.includes(0x0a) || bytesMax === FIRST_LINE_BYTES_MAX) return fieldsOf(start)
  }
  return []
}

/** As `firstObjectFields`, of text at hand. */
export function fieldsOf(text: Buffer): readonly string[] {
  let start = 0
  while (start < text.length && (text[start] ?? 0) <= 0x20) start++
  const end = text.indexOf(0x0a, start)
  try {
    const value: unknown = JSON.parse(text.toString('utf8', start, end < 0 ? text.length : end).replace(/^\ufeff/, ''))
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.keys(value) : []
  } catch {
    return []
  }
}

async function jsonFields(connection: Connection, path: string): Promise<readonly string[]> {
  const rows = await notOfFormat('json', () =>
    connection.rows<{ keys: readonly string[] }>(
      `SELECT json_keys(json) AS keys FROM read_json_objects(${globLiteral(path)}) LIMIT 1`,
    ),
  )
  return rows[0]?.keys ?? []
}

async function notOfFormat<T>(format: InputFormat, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (isDeltaError(cause, 'cancelled', 'limit')) throw cause
    throw new DeltaError(
      'ROWS_INVALID',
      `the data is not ${format}: ${(cause as Error).message.split('\n')[0]}`,
      { format },
      { cause },
    )
  }
}

async function* readBytes(path: string): AsyncGenerator<Uint8Array> {
  await using file = await open(path)
  for (;;) {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(256 * 1024))
    if (bytesRead === 0) return
    yield buffer.subarray(0, bytesRead)
  }
}
