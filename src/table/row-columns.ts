import type { Connection } from '../engine/database.js'
import { sparkExpression } from '../engine/spark-expression.js'
import { ident } from '../engine/sql-text.js'
import { castSql, duckdbType } from '../engine/types.js'
import { identityOf } from '../protocol/identity.js'
import type { DataType, StructField, StructType } from '../protocol/schema.js'
import { generatedSql, generationOf } from './row-rules.js'

/**
 * A query of whole rows of a table, out of one that gives some columns: cast to the table's types, with defaults for
 * columns that are not given and the values of generated ones.
 *
 * @param given the columns that the query has. Without, it has all, and NULL in a generated column means that its value
 * is to be computed.
 * @param more `open`: given columns in which NULL means that too; `numbers`: values of columns that number rows (`rowNumbers`).
 * @throws {DeltaError} `FEATURE_UNSUPPORTED` for a default or generated column that is not computed here as in Spark.
 */
export async function completeRows(
  connection: Connection,
  query: string,
  { fields }: StructType,
  given: readonly string[] | undefined,
  { open = [], numbers }: { readonly open?: readonly string[] | undefined; readonly numbers?: ReadonlyMap<string, string> } = {},
): Promise<string> {
  const plain: string[] = []
  for (const f of fields) plain.push(`${numbers?.get(f.name) ?? (await plainValue(connection, f, given))} AS ${ident(f.name)}`)
  const rows = `SELECT ${plain.join(', ')} FROM (${query})`
  if (!fields.some(({ metadata }) => generationOf(metadata) !== undefined)) return rows
  const whole: string[] = []
  for (const { name, type, metadata } of fields) {
    const generation = generationOf(metadata)
    const isKept = generation === undefined || (given?.includes(name) && !open.includes(name))
    if (isKept) whole.push(ident(name))
    else
      whole.push(
        `coalesce(${ident(name)}, ${await generatedSql(connection, { name, type, generation }, fields)}) AS ${ident(name)}`,
      )
  }
  return `SELECT ${whole.join(', ')} FROM (${rows})`
}

/** A column as input may give it. */
export interface InputField extends StructField {
  /** What a row has that does not mention the column, in the engine's SQL: NULL without this. */
  readonly missing?: string | undefined
}

/**
 * The columns of a table as input may give them: columns that are computed may be left out, and the others have their
 * default where they are. Columns that are always numbered are none of them.
 *
 * @throws {DeltaError} `FEATURE_UNSUPPORTED` for a default that is not computed here as in Spark.
 */
export async function inputFields(connection: Connection, { fields }: StructType): Promise<readonly InputField[]> {
  const given: InputField[] = []
  for (const column of fields) {
    const f = { ...column, type: withJson(column.type) }
    const identity = identityOf(f)
    if (identity && !identity.allowExplicitInsert) continue
    if (identity || generationOf(f.metadata) !== undefined) given.push({ ...f, nullable: true })
    else if (hasDefault(f)) given.push({ ...f, missing: await defaultValue(connection, f) })
    else given.push(f)
  }
  return given
}

/** A type with JSON in place of variants, at every depth. */
function withJson(type: DataType): DataType {
  if (typeof type === 'string') return type === 'variant' ? 'json' : type
  switch (type.type) {
    case 'struct':
      return { ...type, fields: type.fields.map((f) => ({ ...f, type: withJson(f.type) })) }
    case 'array':
      return { ...type, elementType: withJson(type.elementType) }
    case 'map':
      return { ...type, keyType: withJson(type.keyType), valueType: withJson(type.valueType) }
  }
}

async function plainValue(connection: Connection, f: StructField, given: readonly string[] | undefined): Promise<string> {
  if (given && !given.includes(f.name)) return defaultValue(connection, f)
  return castSql(ident(f.name), f.type)
}

/** Whether a column's values come from the table itself when none is given, row by row. */
export function isComputed(f: StructField): boolean {
  return identityOf(f) !== undefined || generationOf(f.metadata) !== undefined
}

/**
 * What a column has that is not given, in the engine's SQL: NULL without a default.
 *
 * @throws {DeltaError} `FEATURE_UNSUPPORTED` for a default that is not computed here as in Spark.
 */
export async function defaultValue(connection: Connection, f: StructField): Promise<string> {
  return `CAST(${await defaultSql(connection, f)} AS ${duckdbType(f.type)})`
}

async function defaultSql(connection: Connection, f: StructField): Promise<string> {
  if (!hasDefault(f)) return 'NULL'
  const text = String(f.metadata['CURRENT_DEFAULT'])
  if (/^\s*(current_timestamp|now)\s*(\(\s*\))?\s*$/i.test(text)) return 'now()'
  if (/^\s*current_date\s*(\(\s*\))?\s*$/i.test(text)) return 'now()::DATE'
  return (await sparkExpression(connection, text, [])).sql
}

function hasDefault({ metadata = {} }: StructField): boolean {
  return typeof metadata['CURRENT_DEFAULT'] === 'string'
}
