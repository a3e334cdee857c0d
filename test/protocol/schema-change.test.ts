import { describe, expect, it } from 'vitest'
import { type DataType, field, type StructField, type StructType } from '../../src/protocol/schema.js'
import { addColumns, dropColumns, moveColumn, renameField, setDefault, setNullable } from '../../src/protocol/schema-change.js'
import { mergeSchemas, overwriteSchema } from '../../src/protocol/schema-merge.js'
import { renameColumn, withMappingMode, withoutColumns, withSchema } from '../../src/protocol/schema-metadata.js'
import { replaceColumns } from '../../src/protocol/schema-replace.js'
import { isWidening, widenedAt } from '../../src/protocol/type-widening.js'

const struct = (...fields: StructField[]): StructType => ({ type: 'struct', fields })
const array = (elementType: DataType): DataType => ({ type: 'array', elementType, containsNull: true })
const map = (keyType: DataType, valueType: DataType): DataType => ({ type: 'map', keyType, valueType, valueContainsNull: true })
const inner = struct(field('x', 'integer'), field('y', 'string'))
const schema = struct(
  field('Id', 'integer'),
  field('s', inner),
  field('list', array(inner)),
  field('m', map('short', array('float'))),
)
const added = (path: string[], type: DataType, position?: { first: true } | { after: string }) => ({
  path,
  field: { type, nullable: true, metadata: {} },
  position,
})
const names = (type: DataType | undefined): readonly string[] =>
  typeof type === 'object' && type.type === 'struct' ? type.fields.map(({ name }) => name) : []
const typeOf = (of: StructType, name: string) => of.fields.find((one) => one.name === name)?.type
const refused = (code = 'SCHEMA_CHANGE_REFUSED') => expect.objectContaining({ code })
const metadataOf = (of: StructType, configuration: Record<string, string> = {}, partitionColumns: string[] = []) => ({
  id: 't',
  format: { provider: 'parquet' },
  schemaString: JSON.stringify(of),
  partitionColumns,
  configuration,
})

describe('adding columns', () => {
  it('puts them last, first, or behind another, at every depth, whatever the letter case', () => {
    const after = addColumns(schema, [
      added(['a'], 'long', { first: true }),
      added(['b'], 'long', { after: 'ID' }),
      added(['S', 'z'], 'date', { after: 'x' }),
      added(['list', 'element', 'z'], 'date', { first: true }),
      added(['c'], 'long'),
    ])
    expect(names(after)).toEqual(['a', 'Id', 'b', 's', 'list', 'm', 'c'])
    expect(names(typeOf(after, 's'))).toEqual(['x', 'z', 'y'])
    expect(typeOf(after, 'list')).toMatchObject({ elementType: { fields: [{ name: 'z' }, { name: 'x' }, { name: 'y' }] } })
  })

  it.each([
    [added(['id'], 'long'), 'SCHEMA_CHANGE_REFUSED'],
    [added(['s', 'X'], 'long'), 'SCHEMA_CHANGE_REFUSED'],
    [added(['m', 'value', 'q'], 'long'), 'SCHEMA_CHANGE_REFUSED'],
    [added(['nothing', 'q'], 'long'), 'SCHEMA_MISMATCH'],
    [added(['q'], 'long', { after: 'nothing' }), 'SCHEMA_MISMATCH'],
    [{ path: ['q'], field: { type: 'long', nullable: false, metadata: {} } }, 'SCHEMA_CHANGE_REFUSED'],
  ])('refuses %j', (column, code) => {
    expect(() => addColumns(schema, [column])).toThrow(refused(code))
  })
})

describe('other changes of columns', () => {
  it('drop, rename and move fields within structs', () => {
    expect(names(typeOf(dropColumns(schema, [['s', 'X']]), 's'))).toEqual(['y'])
    expect(names(typeOf(renameField(schema, ['s', 'x'], 'X'), 's'))).toEqual(['X', 'y'])
    expect(names(typeOf(moveColumn(schema, ['s', 'y'], { first: true }), 's'))).toEqual(['y', 'x'])
    expect(names(moveColumn(schema, ['id'], { after: 'M' }))).toEqual(['s', 'list', 'm', 'Id'])
  })

  it('refuse what would leave nothing, take a name twice, or promise what cannot be kept', () => {
    expect(() =>
      dropColumns(schema, [
        ['s', 'x'],
        ['s', 'y'],
      ]),
    ).toThrow(refused())
    expect(() => renameField(schema, ['s', 'x'], 'Y')).toThrow(refused())
    expect(() => setNullable(schema, ['list', 'element', 'x'], false)).toThrow(refused())
    expect(() => setDefault(schema, ['s', 'x'], '1')).toThrow(refused())
    expect(() => moveColumn(schema, ['id'], { after: 'id' })).toThrow(refused())
  })
})

describe('a wider type', () => {
  it.each<[from: string, to: string, isWider: boolean]>([
    ['byte', 'long', true],
    ['long', 'integer', false],
    ['float', 'double', true],
    ['integer', 'double', true],
    ['long', 'double', false],
    ['date', 'timestamp_ntz', true],
    ['date', 'timestamp', false],
    ['short', 'decimal(10,0)', true],
    ['integer', 'decimal(12,2)', true],
    ['integer', 'decimal(11,2)', false],
    ['long', 'decimal(20,0)', true],
    ['long', 'decimal(19,0)', false],
    ['decimal(5,2)', 'decimal(7,4)', true],
    ['decimal(5,2)', 'decimal(6,4)', false],
    ['decimal(5,2)', 'decimal(5,2)', false],
    ['string', 'binary', false],
  ])('%s → %s: %s', (from, to, isWider) => expect(isWidening(from, to)).toBe(isWider))

  it('is on record at the nearest field, with the way to it', () => {
    const wider = widenedAt(widenedAt(schema, ['m', 'value', 'element'], 'double'), ['m', 'key'], 'long')
    expect(wider.fields.find(({ name }) => name === 'm')?.metadata['delta.typeChanges']).toEqual([
      { fromType: 'float', toType: 'double', fieldPath: 'value.element' },
      { fromType: 'short', toType: 'long', fieldPath: 'key' },
    ])
    expect(typeOf(widenedAt(schema, ['list', 'element', 'x'], 'long'), 'list')).toMatchObject({
      elementType: {
        fields: [{ type: 'long', metadata: { 'delta.typeChanges': [{ fromType: 'integer', toType: 'long' }] } }, {}],
      },
    })
  })
})

describe('merging schemas', () => {
  it('adds what is new behind, taking NULL, and keeps the order and spelling of the table', () => {
    const incoming = struct(
      field('more', struct(field('q', 'integer', false)), false),
      field('S', struct(field('z', 'date', false), field('X', 'integer'))),
      field('nothing', 'void'),
      field('ID', 'short'),
    )
    const merged = mergeSchemas(schema, incoming)
    expect(names(merged)).toEqual(['Id', 's', 'list', 'm', 'more'])
    expect(names(typeOf(merged, 's'))).toEqual(['x', 'y', 'z'])
    expect(merged.fields.at(-1)).toMatchObject({ nullable: true, type: { fields: [{ nullable: true }] } })
    expect(typeOf(merged, 'Id')).toBe('integer')
  })

  it('widens where that is allowed, and refuses otherwise', () => {
    const incoming = struct(field('id', 'long'), field('m', map('long', array('double'))))
    expect(() => mergeSchemas(schema, incoming)).toThrow(refused('SCHEMA_MISMATCH'))
    const merged = mergeSchemas(schema, incoming, { widen: true })
    expect(merged.fields[0]).toMatchObject({ name: 'Id', type: 'long' })
    expect(merged.fields[3]?.metadata['delta.typeChanges']).toEqual([
      { fromType: 'short', toType: 'long', fieldPath: 'key' },
      { fromType: 'float', toType: 'double', fieldPath: 'value.element' },
    ])
    expect(() => mergeSchemas(schema, struct(field('id', 'string')), { widen: true })).toThrow(refused('SCHEMA_MISMATCH'))
  })
})

describe('metadata with column mapping', () => {
  let next = 0
  const newName = () => `col-${next++}`
  const mapped = withMappingMode(
    metadataOf(schema, { 'delta.columnMapping.mode': 'name', 'delta.dataSkippingStatsColumns': 'Id,s.x' }, ['Id']),
    'none',
  )
  const read = (of: { readonly schemaString: string }) => JSON.parse(of.schemaString) as StructType
  const physical = (of: { readonly schemaString: string }) =>
    read(of).fields.map(({ name, metadata }) => [
      name,
      metadata['delta.columnMapping.physicalName'],
      metadata['delta.columnMapping.id'],
    ])

  it('comes to a table by giving its columns their own names as physical ones', () => {
    expect(physical(mapped).map(([name, own]) => name === own)).toEqual([true, true, true, true])
    expect(mapped.configuration['delta.columnMapping.maxColumnId']).toBe('8')
    expect(() => withMappingMode({ ...mapped, configuration: {} }, 'name')).toThrow(refused())
    expect(() => withMappingMode(metadataOf(schema, { 'delta.columnMapping.mode': 'id' }), 'none')).toThrow(refused())
  })

  it('keeps physical names when a column is renamed, and follows it in partitions and statistics', () => {
    const renamed = renameColumn(renameColumn(mapped, 'name', ['ID'], 'key col'), 'name', ['s', 'X'], 'z')
    expect(physical(renamed)[0]).toEqual(['key col', ...(physical(mapped)[0] ?? []).slice(0).slice(1)])
    expect(renamed.partitionColumns).toEqual(['key col'])
    expect(renamed.configuration['delta.dataSkippingStatsColumns']).toBe('`key col`,s.z')
  })

  it('gives a column that comes again another name and id', () => {
    const gone = withoutColumns(mapped, 'name', [['s']])
    expect(gone.configuration['delta.dataSkippingStatsColumns']).toBe('Id')
    const again = withSchema(gone, addColumns(read(gone), [added(['s'], 'long')]), 'name', newName)
    expect(physical(again).at(-1)).toEqual(['s', 'col-0', 9])
    expect(again.configuration['delta.columnMapping.maxColumnId']).toBe('9')
  })

  it.each<[string, Record<string, string>, string[]]>([
    ['a constraint speaks of', { 'delta.constraints.c': 'S.`X` > 0' }, ['s', 'x']],
    ['a constraint speaks of the struct of', { 'delta.constraints.c': 's IS NOT NULL' }, ['s']],
  ])('refuses to rename or drop what %s', (_, configuration, path) => {
    const held = { ...mapped, configuration: { ...mapped.configuration, ...configuration } }
    expect(() => renameColumn(held, 'name', path, 'other')).toThrow(refused())
    expect(() => withoutColumns(held, 'name', [path])).toThrow(refused())
    const elsewhere = { ...mapped, configuration: { ...mapped.configuration, 'delta.constraints.c': "list != 's' AND m.x > 0" } }
    expect(() => renameColumn(elsewhere, 'name', ['s'], 'other')).not.toThrow()
  })

  it('refuses to drop what the table is partitioned or clustered by, and anything without mapping', () => {
    expect(() => withoutColumns(mapped, 'name', [['id']])).toThrow(refused())
    expect(() => withoutColumns(mapped, 'name', [['s']], [['s', 'x']])).toThrow(refused())
    expect(() => withoutColumns(metadataOf(schema), 'none', [['s']])).toThrow(refused())
    expect(() => renameColumn(metadataOf(schema), 'none', ['s'], 't')).toThrow(refused())
  })

  it('keeps the identity of columns that stay what they are when the schema is replaced', () => {
    const before = read(mapped)
    const after = overwriteSchema(
      before,
      struct(field('S', struct(field('y', 'long'), field('x', 'integer'))), field('id', 'string')),
    )
    const again = read(withSchema(mapped, after, 'name', newName))
    expect(again.fields[0]?.metadata).toEqual(before.fields[1]?.metadata)
    const inside = again.fields[0]?.type as StructType
    expect(inside.fields[0]?.metadata['delta.columnMapping.id']).toBeGreaterThan(8)
    const insideBefore = before.fields[1]?.type as StructType
    expect(inside.fields[1]?.metadata).toEqual(insideBefore.fields[0]?.metadata)
    expect(again.fields[1]?.metadata['delta.columnMapping.physicalName']).toMatch(/^col-/)
  })
})

describe('replacing columns', () => {
  const bounds = { mapping: 'name' as const, partitionColumns: ['Id'] }

  it('takes the order of the list, keeps columns of the same name, and leaves out others', () => {
    const after = replaceColumns(
      schema,
      [field('n', 'date'), field('ID', 'integer', true, { comment: 'c' }), schema.fields[3] as StructField],
      bounds,
    )
    expect(names(after)).toEqual(['n', 'Id', 'm'])
    expect(after.fields[1]?.metadata).toEqual({ comment: 'c' })
  })

  it.each<[string, StructField[]]>([
    ['a partition column', [field('s', inner)]],
    ['a type', [field('Id', 'long')]],
    ['a column that takes no NULL', [field('Id', 'integer', false)]],
  ])('refuses to lose or change %s', (_, fields) => {
    expect(() => replaceColumns(schema, fields, bounds)).toThrow(refused())
    expect(() => replaceColumns(schema, schema.fields.slice(1), { ...bounds, mapping: 'none' })).toThrow(refused())
  })
})
