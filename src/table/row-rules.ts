import { DeltaError } from '../base/errors.js'
import type { Connection } from '../engine/database.js'
import { sparkExpression } from '../engine/spark-expression.js'
import { ident } from '../engine/sql-text.js'
import { duckdbType } from '../engine/types.js'
import type { TableProperties } from '../protocol/properties.js'
import { type DataType, isStruct, isVoid, type StructField, type StructType } from '../protocol/schema.js'
import { featureUse } from '../protocol/table-features.js'

/** A rule that rows are held to. */
export interface RowRule {
  /** `scope` for rows that a statement may bring. */
  readonly kind: 'constraint' | 'notNull' | 'scope'
  /** The constraint, the column's path, or the clause. */
  readonly name: string
  readonly expression: string
  /** The engine's condition over a table's row that is true just when it breaks the rule. */
  readonly violated: string
}

/**
 * The rules that rows of a table must keep, beyond NOT NULL of plain columns. A condition that comes out as NULL is broken.
 *
 * @throws {DeltaError} `FEATURE_UNSUPPORTED` for a condition that is not computed here as in Spark.
 */
export async function rowRules(
  connection: Connection,
  { fields }: StructType,
  properties: Pick<TableProperties, 'constraints'>,
): Promise<readonly RowRule[]> {
  const rules: RowRule[] = []
  for (const { name, type, nullable, metadata } of fields) {
    if (!nullable && (typeof type !== 'string' || type === 'variant')) rules.push(notNull(name, `${ident(name)} IS NULL`))
    if (isVoid(type)) rules.push(isNull(name, ident(name)))
    rules.push(...nestedRules(type, ident(name), name))
    const limit = textLimit(metadata)
    if (limit !== undefined)
      rules.push({
        kind: 'constraint',
        name: `length of ${name}`,
        expression: `length(${name}) <= ${limit}`,
        violated: `length(${ident(name)}) > ${limit}`,
      })
    const generation = generationOf(metadata)
    if (generation !== undefined)
      rules.push({
        kind: 'constraint',
        name: `generated column ${name}`,
        expression: `${name} <=> ${generation}`,
        violated: `${ident(name)} IS DISTINCT FROM ${await generatedSql(connection, { name, type, generation }, fields)}`,
      })
  }
  for (const [path, invariant] of invariantsIn(fields))
    rules.push(await condition(connection, `invariant of ${path}`, invariant, fields))
  for (const [name, expression] of properties.constraints) rules.push(await condition(connection, name, expression, fields))
  return rules
}

/** What a generated column's value is computed by, in Spark SQL. */
export function generationOf(metadata: StructField['metadata'] = {}): string | undefined {
  const expression = metadata['delta.generationExpression']
  return typeof expression === 'string' ? expression : undefined
}

/** A generated column's value in the engine's SQL. */
export async function generatedSql(
  connection: Connection,
  { type, generation }: { readonly name: string; readonly type: DataType; readonly generation: string },
  fields: readonly StructField[],
): Promise<string> {
  const { sql } = await sparkExpression(connection, generation, fields)
  return `CAST(${sql} AS ${duckdbType(type)})`
}

/** How many characters a CHAR or VARCHAR column takes. */
function textLimit(metadata: StructField['metadata'] = {}): number | undefined {
  const match = /^(?:var)?char\((\d+)\)$/.exec(String(metadata['__CHAR_VARCHAR_TYPE_STRING'] ?? ''))
  return match ? Number(match[1]) : undefined
}

/**
 * The invariants of columns and of fields inside structs, with the paths of these. As in Spark, each speaks of the whole row.
 *
 * @see PROTOCOL.md#column-invariants
 */
function invariantsIn(fields: readonly StructField[], above = ''): (readonly [path: string, expression: string])[] {
  return fields.flatMap(({ name, type, metadata }) => {
    const path = `${above}${name}`
    const own = invariantOf(metadata)
    if (typeof type !== 'string' && !isStruct(type)) {
      const lost = featureUse({ type: 'struct', fields: [{ name, type, nullable: true, metadata: {} }] }, {}).fields.slice(1)
      const inner = lost.find((f) => invariantOf(f.metadata))
      if (inner)
        throw new DeltaError('FEATURE_UNSUPPORTED', 'deltaic does not keep an invariant inside an array or a map', {
          field: `${path}.${inner.name}`,
        })
    }
    const inside = typeof type !== 'string' && isStruct(type) ? invariantsIn(type.fields, `${path}.`) : []
    return own === undefined ? inside : [[path, own] as const, ...inside]
  })
}

function invariantOf(metadata: StructField['metadata'] = {}): string | undefined {
  const json = metadata['delta.invariants']
  if (typeof json !== 'string') return undefined
  const { expression } = JSON.parse(json) as { expression?: { expression?: string } }
  return expression?.expression
}

async function condition(
  connection: Connection,
  name: string,
  expression: string,
  fields: readonly StructField[],
): Promise<RowRule> {
  const { sql } = await sparkExpression(connection, expression, fields)
  return { kind: 'constraint', name, expression, violated: `${sql} IS NOT TRUE` }
}

function notNull(name: string, violated: string): RowRule {
  return { kind: 'notNull', name, expression: `${name} IS NOT NULL`, violated }
}

/** A column of type void takes nothing else. */
function isNull(name: string, sql: string): RowRule {
  return { kind: 'constraint', name: `void ${name}`, expression: `${name} IS NULL`, violated: `${sql} IS NOT NULL` }
}

/** The rules of places inside a value that take no NULL, or nothing else. */
function nestedRules(type: DataType, sql: string, path: string, depth = 0): RowRule[] {
  if (typeof type === 'string') return []
  if (isStruct(type))
    return type.fields.flatMap((f) => {
      const inner = `${sql}.${ident(f.name)}`
      const here = `${path}.${f.name}`
      // As in Spark, where a struct that is NULL lacks its fields too; a NULL in an array lacks nothing.
      const lacking = depth === 0 ? `${inner} IS NULL` : `(${sql} IS NOT NULL AND ${inner} IS NULL)`
      const own = [...(f.nullable ? [] : [notNull(here, lacking)]), ...(isVoid(f.type) ? [isNull(here, inner)] : [])]
      return [...own, ...nestedRules(f.type, inner, here, depth)]
    })
  if (type.type === 'map')
    return [
      ...nestedRules({ type: 'array', elementType: type.keyType, containsNull: true }, `map_keys(${sql})`, `${path}.key`, depth),
      ...nestedRules(
        { type: 'array', elementType: type.valueType, containsNull: type.valueContainsNull },
        `map_values(${sql})`,
        `${path}.value`,
        depth,
      ),
    ]
  const element = `e${depth}`
  const own = type.containsNull ? [] : [notNull(path, `coalesce(list_count(${sql}) < len(${sql}), false)`)]
  const inner = nestedRules(type.elementType, element, path, depth + 1)
  const many = inner.map((rule) => ({
    ...rule,
    violated: `coalesce(len(list_filter(${sql}, lambda ${element}: ${rule.violated})) > 0, false)`,
  }))
  return [...own, ...many]
}
