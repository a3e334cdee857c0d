import { describe, expect, it } from 'vitest'
import type { Metadata, Protocol } from '../../src/protocol/actions.js'
import { checkReadable, checkWritable, requiredProtocol } from '../../src/protocol/features.js'
import { type DataType, field, type StructField, type StructType } from '../../src/protocol/schema.js'
import { supportedFeatures } from '../../src/protocol/table-features.js'

const struct = (...fields: StructField[]): StructType => ({ type: 'struct', fields })
const plain = struct(field('a', 'long'))

function metadata(configuration: Readonly<Record<string, string>> = {}, schema: StructType = plain): Metadata {
  return { id: 'x', format: { provider: 'parquet' }, schemaString: JSON.stringify(schema), partitionColumns: [], configuration }
}

const legacy = (minReaderVersion: number, minWriterVersion: number): Protocol => ({ minReaderVersion, minWriterVersion })
const listed = (readerFeatures: string[], features = readerFeatures): Protocol => ({
  minReaderVersion: 3,
  minWriterVersion: 7,
  readerFeatures,
  writerFeatures: features,
})
const refusal = (features: string) =>
  expect.objectContaining({ code: 'FEATURE_UNSUPPORTED', kind: 'unsupported', details: { features } }) as Error

describe('the protocol that a new table needs', () => {
  const ntz: DataType = 'timestamp_ntz'
  it.each<[string, StructType, Record<string, string>, Protocol]>([
    ['plain columns', plain, {}, legacy(1, 1)],
    ['other properties', plain, { 'delta.checkpointInterval': '3', mine: 'x' }, legacy(1, 1)],
    ['append only', plain, { 'delta.appendOnly': 'TRUE' }, legacy(1, 2)],
    ['append only said to be false', plain, { 'delta.appendOnly': 'false' }, legacy(1, 1)],
    ['NOT NULL', struct(field('a', 'long', false)), {}, legacy(1, 2)],
    ['times without zone', struct(field('a', ntz)), {}, listed(['timestampNtz'])],
    [
      'such times in a list in a struct',
      struct(field('s', struct(field('l', { type: 'array', elementType: ntz, containsNull: true })))),
      {},
      listed(['timestampNtz']),
    ],
    [
      'such times in a map',
      struct(field('m', { type: 'map', keyType: 'string', valueType: ntz, valueContainsNull: true })),
      {},
      listed(['timestampNtz']),
    ],
    [
      'all of it',
      struct(field('a', ntz, false)),
      { 'delta.appendOnly': 'true' },
      listed(['timestampNtz'], ['appendOnly', 'invariants', 'timestampNtz']),
    ],
  ])('for %s is the lowest', (_, schema, configuration, expected) => {
    const protocol = requiredProtocol(schema, configuration)
    expect(protocol).toEqual(expected)
    expect(() => checkWritable(protocol, metadata(configuration, schema))).not.toThrow()
  })
})

describe('reading', () => {
  it.each<[string, Protocol, Record<string, string>]>([
    ['version 1', legacy(1, 1), {}],
    ['version 1, written by any', legacy(1, 6), {}],
    ['version 2 without column mapping', legacy(2, 5), {}],
    ['version 2 with the mapping off', legacy(2, 5), { 'delta.columnMapping.mode': 'none' }],
    ['an empty list', listed([]), {}],
    ['known features', listed(['timestampNtz', 'vacuumProtocolCheck']), {}],
    ['writer-only features that are not known', listed([], ['rowTracking', 'fromTheFuture']), {}],
    ['a writer version from the future', legacy(1, 9), {}],
    ['column mapping that is listed and off', listed(['columnMapping']), {}],
    ['column mapping by name', legacy(2, 5), { 'delta.columnMapping.mode': 'name' }],
    ['column mapping by id', listed(['columnMapping']), { 'delta.columnMapping.mode': 'id' }],
    ['another name of a feature', listed(['timestampWithoutTimezone']), {}],
    [
      'writer version 7 beside reader version 2',
      { minReaderVersion: 2, minWriterVersion: 7, writerFeatures: ['columnMapping'] },
      {},
    ],
  ])('is fine for %s', (_, protocol, configuration) => {
    expect(() => checkReadable(protocol, metadata(configuration))).not.toThrow()
  })

  it.each<[string, Protocol, Record<string, string>, string]>([
    ['a version from the future', legacy(99, 99), {}, 'reader version 99'],
    ['unknown features, by name', listed(['timestampNtz', 'x', 'y']), {}, 'x, y'],
  ])('is refused for %s', (_, protocol, configuration, features) => {
    expect(() => checkReadable(protocol, metadata(configuration))).toThrow(refusal(features))
    expect(() => checkWritable(protocol, metadata(configuration))).toThrow(refusal(features))
  })
})

describe('type changes', () => {
  const changed = (fromType: string, toType: string) => ({
    ...metadata(),
    schemaString: JSON.stringify({
      type: 'struct',
      fields: [{ name: 'c', type: toType, nullable: true, metadata: { 'delta.typeChanges': [{ fromType, toType }] } }],
    }),
  })
  const widening = {
    minReaderVersion: 3,
    minWriterVersion: 7,
    readerFeatures: ['typeWidening'],
    writerFeatures: ['typeWidening'],
  }

  it('are read where every old value is one of the new type, and refused by their types otherwise', () => {
    for (const [from, to] of [
      ['integer', 'decimal(12,2)'],
      ['byte', 'decimal(4,1)'],
      ['date', 'timestamp_ntz'],
    ] as const)
      expect(() => checkReadable(widening, changed(from, to))).not.toThrow()
    expect(() => checkReadable(widening, changed('byte', 'decimal(4,2)'))).toThrow()
    expect(() => checkReadable(widening, changed('long', 'string'))).toThrow(
      expect.objectContaining({ code: 'TYPE_UNSUPPORTED', details: { column: 'c', from: 'long', to: 'string' } }) as Error,
    )
  })
})

describe('writing', () => {
  it.each<[string, Protocol]>([
    ['legacy version 2', legacy(1, 2)],
    ['legacy version 6 that uses none of it', legacy(1, 6)],
    [
      'features that are kept',
      listed(['timestampNtz'], ['timestampNtz', 'appendOnly', 'invariants', 'checkConstraints', 'generatedColumns']),
    ],
  ])('is fine for %s', (_, protocol) => {
    expect(() => checkWritable(protocol, metadata())).not.toThrow()
  })

  it.each<[string, Protocol, Metadata, string]>([
    ['a version from the future', legacy(1, 8), metadata(), 'writer version 8'],
    [
      'features of its own list',
      listed([], ['icebergCompatV1', 'icebergCompatV2']),
      metadata(),
      'icebergCompatV1, icebergCompatV2',
    ],
  ])('is refused for %s', (_, protocol, table, features) => {
    expect(() => checkWritable(protocol, table)).toThrow(refusal(features))
  })

  it('is fine for rules that rows are held to, whatever the protocol says of them', () => {
    const ruled = (key: string) => metadata({}, struct(field('a', 'long', true, { [key]: '1' })))
    expect(() => checkWritable(legacy(1, 3), metadata({ 'delta.constraints.c': 'a > 0' }))).not.toThrow()
    for (const key of ['delta.invariants', 'delta.generationExpression', 'CURRENT_DEFAULT'])
      expect(() => checkWritable(listed([]), ruled(key))).not.toThrow()
  })

  it('is refused, as reading is, without the list that the version asks for', () => {
    const malformed = expect.objectContaining({ code: 'LOG_LINE_MALFORMED' }) as Error
    expect(() => checkReadable(legacy(3, 7), metadata())).toThrow(malformed)
    expect(() => checkWritable({ ...legacy(1, 7) }, metadata())).toThrow(malformed)
    expect(() => checkReadable(legacy(1, 7), metadata())).not.toThrow()
  })

  it('spells out what a legacy version asks of writers', () => {
    expect(supportedFeatures(legacy(1, 1))).toEqual([])
    expect(supportedFeatures(legacy(1, 4))).toEqual([
      'appendOnly',
      'invariants',
      'checkConstraints',
      'changeDataFeed',
      'generatedColumns',
    ])
    expect(supportedFeatures(listed([], ['rowTracking']))).toEqual(['rowTracking'])
  })
})
