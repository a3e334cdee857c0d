import { DeltaError } from '../base/errors.js'
import type { MappingMode } from './column-mapping.js'
import { checkNames, type DataType, isStruct, type StructField, type StructType } from './schema.js'
import { changeFieldAt, changeTypeAt, type FieldPath, fieldAt, pathText, resolvePath } from './schema-path.js'

/** Where a column goes among those beside it; without one it is the last. */
export type Position = { readonly first: true } | { readonly after: string }

export interface NewColumn {
  /** Its last part is the name of the new field. */
  readonly path: FieldPath
  readonly field: Omit<StructField, 'name'>
  readonly position?: Position | undefined
}

/**
 * The schema with more columns. Rows that are there have NULL in them, so they take NULL.
 *
 * @throws {DeltaError} `SCHEMA_CHANGE_REFUSED` for a name that is taken or a column that takes no NULL, `SCHEMA_MISMATCH` for
 * a struct, or a column to go behind, that is not there.
 */
export function addColumns(schema: StructType, columns: readonly NewColumn[]): StructType {
  return columns.reduce((before, { path, field, position }) => {
    const name = path.at(-1) ?? ''
    if (!field.nullable) throw refused('a column that is added takes NULL: rows that are there have no value in it', path)
    return changeTypeAt(before, resolvePath(before, path.slice(0, -1)), (above) => {
      if (!isStruct(above)) throw refused('only structs have fields', path)
      const taken = above.fields.some((one) => one.name.toLowerCase() === name.toLowerCase())
      if (taken) throw refused('the table has a column of this name', path)
      return { ...above, fields: placed(above.fields, { ...field, name }, position) }
    })
  }, schema)
}

/** @throws {DeltaError} `SCHEMA_MISMATCH` for a column that is not there, `SCHEMA_CHANGE_REFUSED` for the last one of its struct. */
export function dropColumns(schema: StructType, paths: readonly FieldPath[]): StructType {
  return paths.reduce(
    (before, path) =>
      changeFieldAt(before, resolvePath(before, path), (_, beside) => {
        if (beside.length === 1) throw refused('a struct or table keeps at least one column', path)
        return null
      }),
    schema,
  )
}

/** @throws {DeltaError} `SCHEMA_MISMATCH` for a column that is not there, `SCHEMA_CHANGE_REFUSED` for a name that is taken. */
export function renameField(schema: StructType, path: FieldPath, name: string): StructType {
  return changeFieldAt(schema, resolvePath(schema, path), (field, beside) => {
    if (beside.some((one) => one !== field && one.name.toLowerCase() === name.toLowerCase()))
      throw refused('the table has a column of this name', [...path.slice(0, -1), name])
    return { ...field, name }
  })
}

/** The schema with the column elsewhere among those beside it. @throws {DeltaError} `SCHEMA_MISMATCH`. */
export function moveColumn(schema: StructType, path: FieldPath, position: Position): StructType {
  const found = resolvePath(schema, path)
  const field = fieldAt(schema, found)
  if (!field) throw noField(path)
  return changeTypeAt(schema, found.slice(0, -1), (above) => {
    const { fields } = above as StructType
    if ('after' in position && position.after.toLowerCase() === field.name.toLowerCase())
      throw refused('a column cannot go behind itself', path)
    return {
      ...(above as StructType),
      fields: placed(
        fields.filter((one) => one !== field),
        field,
        position,
      ),
    }
  })
}

/**
 * Whether a column takes NULL. That the rows hold none already is the caller's to know.
 *
 * @throws {DeltaError} `SCHEMA_CHANGE_REFUSED` for a field inside an array or map that is to take none.
 */
export function setNullable(schema: StructType, path: FieldPath, nullable: boolean): StructType {
  const found = resolvePath(schema, path)
  const isPlain = found.every((_, index) => fieldAt(schema, found.slice(0, index + 1)) !== undefined)
  if (!isPlain && !nullable) throw refused('NOT NULL is for columns and fields of structs, not within arrays and maps', path)
  return changeField(schema, path, (field) => ({ ...field, nullable }))
}

export function setComment(schema: StructType, path: FieldPath, comment: string): StructType {
  return changeField(schema, path, (field) => ({ ...field, metadata: { ...field.metadata, comment } }))
}

/**
 * What a column holds where no value is given, in Spark SQL; nothing any more with `undefined`.
 *
 * @throws {DeltaError} `SCHEMA_CHANGE_REFUSED` for a field inside a struct, or a column that is computed.
 */
export function setDefault(schema: StructType, path: FieldPath, expression: string | undefined): StructType {
  if (path.length > 1) throw refused('only whole columns have a default', path)
  return changeField(schema, path, (field) => {
    const { CURRENT_DEFAULT: _, EXISTS_DEFAULT: __, ...others } = field.metadata
    if (expression !== undefined && 'delta.generationExpression' in others)
      throw refused('a column that is computed has no default', path)
    return { ...field, metadata: expression === undefined ? others : { ...others, CURRENT_DEFAULT: expression } }
  })
}

/**
 * Refuses names that data files cannot have, at every depth, and two that differ only in letter case.
 *
 * @throws {DeltaError} `ARGUMENT_INVALID`.
 */
export function checkColumnNames(type: DataType, mapping: MappingMode): void {
  if (!isStruct(type)) {
    const inner = typeof type === 'string' ? [] : type.type === 'array' ? [type.elementType] : [type.keyType, type.valueType]
    for (const one of inner) checkColumnNames(one, mapping)
    return
  }
  checkNames(type.fields, 'ARGUMENT_INVALID')
  for (const field of type.fields) {
    if (field.name === '' || (mapping === 'none' && /[ ,;{}()\n\t=]/.test(field.name)))
      throw new DeltaError(
        'ARGUMENT_INVALID',
        'a column name is empty or holds one of space , ; { } ( ) = or a line break',
        { column: field.name },
        { hint: "such names need column mapping: choose another name, or set 'delta.columnMapping.mode' = 'name'" },
      )
    checkColumnNames(field.type, mapping)
  }
}

function changeField(schema: StructType, path: FieldPath, change: (field: StructField) => StructField): StructType {
  const found = resolvePath(schema, path)
  if (!fieldAt(schema, found)) throw noField(path)
  return changeFieldAt(schema, found, change)
}

function placed(fields: readonly StructField[], field: StructField, position: Position | undefined): readonly StructField[] {
  if (!position) return [...fields, field]
  if ('first' in position) return [field, ...fields]
  const at = fields.findIndex(({ name }) => name.toLowerCase() === position.after.toLowerCase())
  if (at < 0) throw new DeltaError('SCHEMA_MISMATCH', 'there is no such column to go behind', { column: position.after })
  return fields.toSpliced(at + 1, 0, field)
}

function refused(message: string, path: FieldPath): DeltaError {
  return new DeltaError('SCHEMA_CHANGE_REFUSED', message, { column: pathText(path) })
}

function noField(path: FieldPath): DeltaError {
  return refused('an element, key or value has a type, and nothing else of a column', path)
}
