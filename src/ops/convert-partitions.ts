import { DeltaError } from '../base/errors.js'
import type { Database } from '../engine/database.js'
import { literal, literalList } from '../engine/sql-text.js'
import { duckdbType } from '../engine/types.js'
import type { PartitionValues } from '../protocol/actions.js'
import { decodeFilePath } from '../protocol/file-path.js'
import { formatPartitionValue } from '../protocol/partition-values.js'
import type { StructField } from '../protocol/schema.js'
import type { StoreOptions } from '../storage/store.js'

const HIVE_NULL = '__HIVE_DEFAULT_PARTITION__'

/**
 * The partition values of files by what their folders say, `column=value/…` with Hive's escapes, as the log writes them.
 *
 * @throws {DeltaError} `ARGUMENT_INVALID` where folders name other columns, or a value is none of its column's type.
 */
export async function hivePartitions(
  database: Database,
  paths: readonly string[],
  columns: readonly StructField[],
  options: StoreOptions = {},
): Promise<ReadonlyMap<string, PartitionValues>> {
  const told = new Map(paths.map((path) => [path, folderValues(path, columns)]))
  const formatted: ReadonlyMap<string | null, string | null>[] = []
  for (const [at, column] of columns.entries()) {
    const texts = new Set([...told.values()].flatMap((values) => values[at] ?? []))
    formatted.push(await valuesOf(database, column, [...texts], options))
  }
  return new Map(
    [...told].map(([path, values]) => [
      path,
      Object.fromEntries(columns.map(({ name }, at) => [name, formatted[at]?.get(values[at] ?? null) ?? null])),
    ]),
  )
}

function folderValues(path: string, columns: readonly StructField[]): (string | null)[] {
  const pairs = path
    .split('/')
    .slice(0, -1)
    .filter((folder) => folder.includes('='))
    .map((folder) => [decodeFilePath(folder.slice(0, folder.indexOf('='))), folder.slice(folder.indexOf('=') + 1)] as const)
  const named = pairs.map(([name]) => name)
  const isSame = named.length === columns.length && columns.every(({ name }, at) => same(name, named[at] ?? ''))
  if (!isSame)
    throw new DeltaError(
      'ARGUMENT_INVALID',
      'the folders of the files name other partition columns',
      { file: path, folders: named.join(', '), partitionBy: columns.map(({ name }) => name).join(', ') },
      { hint: 'say PARTITIONED BY with the columns of the folders, in their order, with types' },
    )
  return pairs.map(([, value]) => (value === HIVE_NULL ? null : decodeFilePath(value)))
}

/** Each text as the log has the value. */
async function valuesOf(database: Database, column: StructField, texts: readonly string[], options: StoreOptions) {
  const { name, type } = column
  if (texts.length === 0) return new Map<string | null, string | null>()
  const query = `SELECT text, try_cast(text AS ${duckdbType(type)})::VARCHAR AS value FROM unnest(${literalList(texts)}) AS t(text)`
  const rows = await database.rows<{ text: string; value: string | null }>(query, options)
  const wrong = rows.find(({ text, value }) => value === null && text !== '')
  if (wrong)
    throw new DeltaError('ARGUMENT_INVALID', `the folder ${literal(`${name}=${wrong.text}`)} holds no value of its column`, {
      column: name,
      type: String(type),
    })
  return new Map<string | null, string | null>(rows.map(({ text, value }) => [text, formatPartitionValue(type, value)]))
}

function same(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase()
}
