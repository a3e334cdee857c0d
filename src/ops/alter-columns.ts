import { ident } from '../engine/sql-text.js'
import type { DomainMetadata, Metadata } from '../protocol/actions.js'
import { clusteredBy } from '../protocol/clustering.js'
import { type DataType, formatSchema, type StructField, type StructType } from '../protocol/schema.js'
import {
  addColumns,
  moveColumn,
  type NewColumn,
  type Position,
  setComment,
  setDefault,
  setNullable,
} from '../protocol/schema-change.js'
import { renameColumn, withoutColumns, withSchema } from '../protocol/schema-metadata.js'
import { changeTypeAt, type FieldPath, fieldAt, pathText, resolvePath } from '../protocol/schema-path.js'
import { replaceColumns } from '../protocol/schema-replace.js'
import { isWidening, widenedAt } from '../protocol/type-widening.js'
import type { RowRule } from '../table/row-rules.js'
import type { Snapshot } from '../table/snapshot.js'
import { type Alteration, refusedAlteration } from './alter.js'

/** A column, and what becomes of it. */
export interface ColumnAlteration {
  readonly path: FieldPath
  readonly change:
    | { readonly kind: 'type'; readonly type: DataType }
    | { readonly kind: 'nullable'; readonly nullable: boolean }
    | { readonly kind: 'comment'; readonly comment: string }
    /** `undefined` for none. */
    | { readonly kind: 'default'; readonly expression: string | undefined }
    | { readonly kind: 'position'; readonly position: Position }
}

export function addingColumns(snapshot: Snapshot, columns: readonly NewColumn[], newName: () => string): Alteration {
  const metadata = withSchema(snapshot.metadata, addColumns(snapshot.schema, columns), snapshot.mapping, newName)
  const described = columns.map(({ path, field, position }) => ({
    column: columnParameter(path, { ...field, name: path.at(-1) ?? '' }),
    ...positionParameter(position),
  }))
  return { metadata, operation: { name: 'ADD COLUMNS', parameters: { columns: JSON.stringify(described) } } }
}

/** @returns `undefined` when there is none of them, with `ifExists`. */
export function droppingColumns(
  snapshot: Snapshot,
  domains: readonly DomainMetadata[],
  paths: readonly FieldPath[],
  ifExists: boolean,
): Alteration | undefined {
  const there = ifExists ? paths.filter((path) => isThere(snapshot.schema, path)) : paths
  if (there.length === 0) return undefined
  return {
    metadata: withoutColumns(snapshot.metadata, snapshot.mapping, there, clusteredBy(domains, snapshot.schema, snapshot.mapping)),
    operation: { name: 'DROP COLUMNS', parameters: { columns: JSON.stringify(there.map(pathText)) } },
  }
}

export function renamingColumn(snapshot: Snapshot, path: FieldPath, name: string): Alteration {
  return {
    metadata: renameColumn(snapshot.metadata, snapshot.mapping, path, name),
    operation: {
      name: 'RENAME COLUMN',
      parameters: { oldColumnPath: pathText(path), newColumnPath: pathText([...path.slice(0, -1), name]) },
    },
  }
}

export function replacingColumns(snapshot: Snapshot, fields: readonly StructField[], newName: () => string): Alteration {
  const { metadata, schema, mapping, partitionColumns } = snapshot
  const replaced = replaceColumns(schema, fields, { mapping, partitionColumns })
  return {
    metadata: withSchema(metadata, replaced, mapping, newName),
    operation: {
      name: 'REPLACE COLUMNS',
      parameters: { columns: JSON.stringify(fields.map((field) => columnParameter([field.name], field))) },
    },
  }
}

export function changingColumns(snapshot: Snapshot, changes: readonly ColumnAlteration[]): Alteration {
  const rules: RowRule[] = []
  let schema = snapshot.schema
  for (const { path, change } of changes) {
    if (change.kind === 'nullable' && !change.nullable) rules.push(notNullRule(snapshot.schema, path))
    schema = changed(snapshot, schema, path, change)
  }
  const metadata: Metadata = { ...snapshot.metadata, schemaString: formatSchema(schema) }
  return { metadata, rules, operation: { name: 'CHANGE COLUMN', parameters: changeParameters(schema, changes) } }
}

function changed(snapshot: Snapshot, schema: StructType, path: FieldPath, change: ColumnAlteration['change']): StructType {
  switch (change.kind) {
    case 'type':
      return retyped(snapshot, schema, path, change.type)
    case 'nullable':
      return setNullable(schema, path, change.nullable)
    case 'comment':
      return setComment(schema, path, change.comment)
    case 'default':
      return setDefault(schema, path, change.expression)
    case 'position':
      return moveColumn(schema, path, change.position)
  }
}

function retyped(snapshot: Snapshot, schema: StructType, path: FieldPath, to: DataType): StructType {
  const found = resolvePath(schema, path)
  let from: DataType = schema
  changeTypeAt(schema, found, (type) => {
    from = type
    return type
  })
  if (JSON.stringify(from) === JSON.stringify(to)) return schema
  if (isWidening(from, to) && !snapshot.properties.typeWidening)
    throw refusedAlteration(
      'the table keeps the types of its columns',
      { column: pathText(path) },
      "ALTER TABLE … SET TBLPROPERTIES ('delta.enableTypeWidening' = 'true') first",
    )
  return widenedAt(schema, found, to)
}

/** The rule that a column, or a field where its structs are not NULL, holds no NULL. */
function notNullRule(schema: StructType, path: FieldPath): RowRule {
  const found = resolvePath(schema, path)
  const sql = found.map(ident)
  const above = sql.slice(0, -1).join('.')
  const violated = `${sql.join('.')} IS NULL`
  return {
    kind: 'notNull',
    name: pathText(found),
    expression: `${pathText(found)} IS NOT NULL`,
    violated: above === '' ? violated : `(${above} IS NOT NULL AND ${violated})`,
  }
}

function changeParameters(schema: StructType, changes: readonly ColumnAlteration[]): Readonly<Record<string, string>> {
  const paths = [...new Map(changes.map(({ path }) => [JSON.stringify(path), path])).values()]
  const described = paths.map((path) => {
    const found = resolvePath(schema, path)
    const field = fieldAt(schema, found) ?? {
      name: found.at(-1) ?? '',
      type: typeAt(schema, found),
      nullable: true,
      metadata: {},
    }
    const moved = changes.find((one) => one.path === path && one.change.kind === 'position')?.change
    return {
      column: columnParameter(found, field),
      ...positionParameter(moved?.kind === 'position' ? moved.position : undefined),
    }
  })
  const [only] = described
  if (described.length > 1 || !only) return { columns: JSON.stringify(described) }
  return { ...only, column: JSON.stringify(only.column) }
}

function typeAt(schema: StructType, path: FieldPath): DataType {
  let found: DataType = schema
  changeTypeAt(schema, path, (type) => {
    found = type
    return type
  })
  return found
}

function isThere(schema: StructType, path: FieldPath): boolean {
  return fieldAt(schema, path) !== undefined
}

/** A column as Spark's history tells of it. */
function columnParameter(path: FieldPath, { type, nullable, metadata }: StructField) {
  return { name: pathText(path), type, nullable, metadata: metadata ?? {} }
}

function positionParameter(position: Position | undefined): { readonly position?: string } {
  if (!position) return {}
  return { position: 'first' in position ? 'FIRST' : `AFTER ${position.after}` }
}
