import { DeltaError, isDeltaError } from '../base/errors.js'
import type { Connection } from '../engine/database.js'
import { ident } from '../engine/sql-text.js'
import { duckdbType } from '../engine/types.js'
import { guessingScan, type Input, inferFields } from '../ingest/input.js'
import { type Alteration, alterTable } from '../ops/alter.js'
import { type DataType, isStruct, type StructField, type StructType } from '../protocol/schema.js'
import { mergeSchemas } from '../protocol/schema-merge.js'
import { withSchema } from '../protocol/schema-metadata.js'
import { isWidening } from '../protocol/type-widening.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { FileSource } from '../table/file-source.js'
import type { Snapshot } from '../table/snapshot.js'

const ATTEMPTS_MAX = 5

/** Whether an append failed of what the table's columns are, so that other columns could take its rows. */
export function isMisfit(error: unknown): boolean {
  return isDeltaError(error) && (error.code === 'ROWS_INVALID' || error.code === 'SCHEMA_MISMATCH')
}

/**
 * Gives a table the columns that an input has and it lacks, taking NULL and behind the others, at every depth; and, where it
 * has type widening, wider types to columns of which a value is too large. What else does not fit is left to the append to
 * tell of. It is a commit of its own.
 *
 * @throws {DeltaError} `COMMIT_CONFLICT` when others keep changing the table.
 */
export async function evolveForInput(
  table: DeltaTable,
  source: FileSource,
  connection: Connection,
  input: Input,
  signal?: AbortSignal,
): Promise<void> {
  const incoming = { type: 'struct', fields: await inferFields(connection, input, 'all') } as const
  for (let attempt = 1; ; attempt++) {
    try {
      await alterTable(table, source, (snapshot) => evolution(table, snapshot, connection, input, incoming), { signal })
      return
    } catch (error) {
      if (attempt >= ATTEMPTS_MAX || !(error instanceof DeltaError && error.code === 'COMMIT_CONFLICT')) throw error
    }
  }
}

async function evolution(
  { deps }: DeltaTable,
  { schema, metadata, mapping, properties }: Snapshot,
  connection: Connection,
  input: Input,
  incoming: StructType,
): Promise<Alteration | undefined> {
  const widen = properties.typeWidening
  const wide = widen ? await tooLarge(connection, input, schema, incoming) : new Set<string>()
  const wanted = mergeSchemas(schema, withTypesOf(schema, incoming, wide), { widen })
  if (JSON.stringify(wanted) === JSON.stringify(schema)) return undefined
  const after = withSchema(metadata, wanted, mapping, () => `col-${deps.random.uuid()}`)
  const names = wanted.fields.filter(({ name }) => !schema.fields.some((f) => f.name === name)).map(({ name }) => name)
  return { metadata: after, operation: { name: 'ADD COLUMNS', parameters: { columns: JSON.stringify(names) } } }
}

/** Names of plain columns of which the input has a value that only its own, wider type holds. */
async function tooLarge(connection: Connection, input: Input, schema: StructType, incoming: StructType): Promise<Set<string>> {
  const candidates = incoming.fields.flatMap((given) => {
    const own = namedAs(schema.fields, given.name)
    return own && isWidening(own.type, given.type) ? [{ own, given }] : []
  })
  if (candidates.length === 0) return new Set()
  const tests = candidates.map(({ own, given }, index) => {
    const value = ident(given.name)
    const cast = `TRY_CAST(${value} AS ${duckdbType(own.type)})`
    return `bool_or(${value} IS NOT NULL AND (${cast} IS NULL OR ${cast}::${duckdbType(given.type)} <> ${value})) AS c${index}`
  })
  const [found = {}] = await connection.rows<Record<string, boolean | null>>(
    `SELECT ${tests.join(', ')} FROM ${guessingScan(input)}`,
  )
  return new Set(candidates.filter((_, index) => found[`c${index}`] === true).map(({ given }) => given.name))
}

/** The incoming columns with the types that the table has for them, but for those that are to be wide: text stands for much. */
function withTypesOf(table: StructType, incoming: StructType, wide: ReadonlySet<string>): StructType {
  const fields = incoming.fields.map((given): StructField => {
    const own = namedAs(table.fields, given.name)
    return own && !wide.has(given.name) ? { ...given, type: typeOf(own.type, given.type) } : given
  })
  return { type: 'struct', fields }
}

const NONE: ReadonlySet<string> = new Set()

function typeOf(own: DataType, given: DataType): DataType {
  if (typeof own === 'string' || typeof given === 'string') return own
  if (isStruct(own) && isStruct(given)) return withTypesOf(own, given, NONE)
  if (own.type === 'array' && given.type === 'array') return { ...given, elementType: typeOf(own.elementType, given.elementType) }
  if (own.type === 'map' && given.type === 'map')
    return { ...given, keyType: typeOf(own.keyType, given.keyType), valueType: typeOf(own.valueType, given.valueType) }
  return own
}

function namedAs(fields: readonly StructField[], name: string): StructField | undefined {
  return fields.find((f) => f.name.toLowerCase() === name.toLowerCase())
}
