import { describe, expect, it } from 'vitest'
import { formatPartitionValue } from '../../src/protocol/partition-values.js'
import { field, findField, leaves, parseSchema, type StructType, typeText } from '../../src/protocol/schema.js'

const schema: StructType = {
  type: 'struct',
  fields: [
    field('Id', 'long', false, { comment: 'key' }),
    field('s', {
      type: 'struct',
      fields: [field('x', 'string'), field('l', { type: 'array', elementType: 'long', containsNull: false })],
    }),
  ],
}

describe('schemas', () => {
  it('parse(JSON.stringify(schema)) is schema, unknown metadata included', () => {
    expect(parseSchema(JSON.stringify(schema))).toEqual(schema)
  })

  it.each(['', '{', '[]', 'null', '"string"', '{"type":"array"}', '{"type":"struct"}', '{"type":"struct","fields":{}}'])(
    'refuse %j',
    (text) => {
      expect(() => parseSchema(text)).toThrow(expect.objectContaining({ code: 'SCHEMA_MALFORMED', kind: 'corrupt' }) as Error)
    },
  )

  it('refuse two columns of one name, whatever their letter case', () => {
    const twice: StructType = { type: 'struct', fields: [field('a', 'long'), field('A', 'long')] }
    expect(() => parseSchema(JSON.stringify(twice))).toThrow(
      expect.objectContaining({ code: 'SCHEMA_MALFORMED', details: { column: 'A' } }) as Error,
    )
  })

  it('find columns whatever the letter case, and leaves by their paths', () => {
    expect(findField(schema, 'iD')?.name).toBe('Id')
    expect(findField(schema, 'x')).toBeUndefined()
    expect(leaves(schema.fields).map(({ path, type }) => [path.join('.'), typeText(type)])).toEqual([
      ['Id', 'long'],
      ['s.x', 'string'],
      ['s.l', 'array<long>'],
    ])
  })
})

describe('partition values', () => {
  it.each([
    ['string', 'null', 'null'],
    ['string', '', null],
    ['long', null, null],
    ['long', '-5', '-5'],
    ['decimal(5,2)', '1.00', '1.00'],
    ['boolean', 'true', 'true'],
    ['date', '2024-02-29', '2024-02-29'],
    ['timestamp', '2024-01-01 10:00:00+00', '2024-01-01T10:00:00.000000Z'],
    ['timestamp', '1969-12-31 23:59:59.5+00', '1969-12-31T23:59:59.500000Z'],
    ['timestamp_ntz', '2024-01-01 10:00:00.123456', '2024-01-01 10:00:00.123456'],
    ['double', 'nan', 'NaN'],
    ['double', '-inf', '-Infinity'],
    ['float', 'inf', 'Infinity'],
    ['double', '1e+300', '1e+300'],
  ])('of type %s write %j as %j', (type, text, expected) => {
    expect(formatPartitionValue(type, text)).toBe(expected)
  })

  it.each([
    ['timestamp', 'infinity'],
    ['timestamp_ntz', '-infinity'],
    ['date', '0044-03-15 (BC)'],
  ])('of type %s refuse %s, for which there is no text', (type, text) => {
    expect(() => formatPartitionValue(type, text)).toThrow(expect.objectContaining({ code: 'TYPE_UNSUPPORTED' }) as Error)
  })
})
