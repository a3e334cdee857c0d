import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Protocol } from '../../src/protocol/actions.js'
import { protocolFor, splitRequest } from '../../src/protocol/protocol-for.js'
import { field, type StructField, type StructType } from '../../src/protocol/schema.js'
import { featureNamed, supportedFeatures, TABLE_FEATURES } from '../../src/protocol/table-features.js'

const struct = (...fields: StructField[]): StructType => ({ type: 'struct', fields })
const plain = struct(field('a', 'long'))
const legacy = (minReaderVersion: number, minWriterVersion: number): Protocol => ({ minReaderVersion, minWriterVersion })
const listed = (reader: number, writerFeatures: string[], readerFeatures?: string[]): Protocol => ({
  minReaderVersion: reader,
  minWriterVersion: 7,
  ...(readerFeatures ? { readerFeatures } : {}),
  writerFeatures,
})
const on = (name: string) => ({ [`delta.${name}`]: 'true' })
const constraint = { 'delta.constraints.c': 'a > 0' }

describe('a new table', () => {
  it.each<[string, StructType, Record<string, string>, Protocol]>([
    ['a constraint', plain, constraint, legacy(1, 3)],
    ['a change feed alone', plain, on('enableChangeDataFeed'), listed(1, ['changeDataFeed'])],
    [
      'a change feed, a constraint and a generated column',
      struct(field('a', 'long', true, { 'delta.generationExpression': '1' })),
      { ...constraint, ...on('enableChangeDataFeed') },
      legacy(1, 4),
    ],
    ['mapped columns', plain, { 'delta.columnMapping.mode': 'name' }, listed(2, ['columnMapping'])],
    ['deletion vectors', plain, on('enableDeletionVectors'), listed(3, ['deletionVectors'], ['deletionVectors'])],
    [
      'mapped columns and deletion vectors',
      plain,
      { 'delta.columnMapping.mode': 'id', ...on('enableDeletionVectors') },
      listed(3, ['columnMapping', 'deletionVectors'], ['columnMapping', 'deletionVectors']),
    ],
    ['row tracking, with what it needs', plain, on('enableRowTracking'), listed(1, ['domainMetadata', 'rowTracking'])],
    ['times in commits', plain, on('enableInCommitTimestamps'), listed(1, ['inCommitTimestamp'])],
    ['type widening', plain, on('enableTypeWidening'), listed(3, ['typeWidening'], ['typeWidening'])],
    ['checkpoints of version 2', plain, { 'delta.checkpointPolicy': 'v2' }, listed(3, ['v2Checkpoint'], ['v2Checkpoint'])],
    ['a default', struct(field('a', 'long', true, { CURRENT_DEFAULT: '1' })), {}, listed(1, ['allowColumnDefaults'])],
    ['numbered rows', struct(field('a', 'long', true, { 'delta.identity.start': 1 })), {}, listed(1, ['identityColumns'])],
  ])('with %s gets just that', (_, schema, configuration, expected) => {
    expect(protocolFor(schema, configuration)).toEqual(expected)
  })

  it('gets what is asked for, and what that needs', () => {
    expect(protocolFor(plain, {}, { features: ['clustering'] })).toEqual(listed(1, ['domainMetadata', 'clustering']))
    expect(protocolFor(plain, {}, { features: ['typeWidening-preview'] })).toEqual(
      listed(3, ['typeWidening-preview'], ['typeWidening-preview']),
    )
    expect(protocolFor(plain, {}, { minReaderVersion: 2 })).toEqual(legacy(2, 5))
    expect(protocolFor(plain, {}, { minWriterVersion: 4 })).toEqual(legacy(1, 4))
    expect(protocolFor(plain, {}, { minReaderVersion: 3 })).toEqual(listed(3, [], []))
    expect(protocolFor(plain, {}, { minWriterVersion: 7 })).toEqual(listed(1, []))
  })
})

describe('a table that has a protocol', () => {
  it.each<[string, Protocol, Record<string, string>, Protocol]>([
    ['stays as it is', legacy(1, 2), on('appendOnly'), legacy(1, 2)],
    ['stays as it is with lists', listed(1, ['b', 'appendOnly']), on('appendOnly'), listed(1, ['b', 'appendOnly'])],
    ['goes up among legacy versions', legacy(1, 2), constraint, legacy(1, 3)],
    [
      'is listed where a legacy version would promise more',
      legacy(1, 2),
      on('enableChangeDataFeed'),
      listed(1, ['appendOnly', 'invariants', 'changeDataFeed']),
    ],
    [
      'keeps what its legacy versions promised',
      legacy(2, 5),
      on('enableDeletionVectors'),
      listed(
        3,
        [
          'appendOnly',
          'invariants',
          'checkConstraints',
          'changeDataFeed',
          'generatedColumns',
          'columnMapping',
          'deletionVectors',
        ],
        ['columnMapping', 'deletionVectors'],
      ),
    ],
    [
      'moves a reader feature into both lists',
      listed(2, ['columnMapping']),
      on('enableDeletionVectors'),
      listed(3, ['columnMapping', 'deletionVectors'], ['columnMapping', 'deletionVectors']),
    ],
    [
      'takes another name for the same feature',
      listed(3, ['typeWidening-preview'], ['typeWidening-preview']),
      on('enableTypeWidening'),
      listed(3, ['typeWidening-preview'], ['typeWidening-preview']),
    ],
  ])('%s', (_, current, configuration, expected) => {
    expect(protocolFor(plain, configuration, {}, current)).toEqual(expected)
  })

  it('never loses a feature or a version, and supports what is in use', () => {
    const names = TABLE_FEATURES.flatMap(({ name, aliases = [] }) => [name, ...aliases])
    const some = fc.subarray(names, { maxLength: 5 })
    const legacyOnes = fc.constantFrom(
      legacy(1, 1),
      legacy(1, 2),
      legacy(1, 3),
      legacy(1, 4),
      legacy(2, 5),
      legacy(2, 6),
      legacy(1, 6),
    )
    const current = fc.oneof(
      legacyOnes,
      some.map((features) => protocolFor(plain, {}, { features })),
    )
    const properties = ['appendOnly', 'enableDeletionVectors', 'enableRowTracking', 'enableChangeDataFeed', 'enableTypeWidening']
    const configuration = fc.subarray(properties).map((keys) => Object.assign({}, ...keys.map(on)) as Record<string, string>)
    fc.assert(
      fc.property(current, some, configuration, (before, features, configured) => {
        const after = protocolFor(plain, configured, { features }, before)
        expect(after.minReaderVersion).toBeGreaterThanOrEqual(before.minReaderVersion)
        expect(after.minWriterVersion).toBeGreaterThanOrEqual(before.minWriterVersion)
        const has = supportedFeatures(after)
        expect(has).toEqual(expect.arrayContaining([...supportedFeatures(before)]))
        const same = (name: string) => [featureNamed(name)?.name ?? name, ...(featureNamed(name)?.aliases ?? [])]
        for (const name of features) expect(same(name).some((one) => has.includes(one))).toBe(true)
        for (const name of has)
          for (const needed of features.includes(name) ? (featureNamed(name)?.dependsOn ?? []) : [])
            expect(same(needed).some((one) => has.includes(one))).toBe(true)
        const forReaders = has.filter((name) => featureNamed(name)?.kind === 'reader-writer')
        if (after.minReaderVersion === 3) expect([...(after.readerFeatures ?? [])].sort()).toEqual([...forReaders].sort())
        else expect(forReaders.filter((name) => name !== 'columnMapping')).toEqual([])
        expect(after.minReaderVersion === 3).toBe(after.readerFeatures !== undefined)
        expect(after.minWriterVersion === 7).toBe(after.writerFeatures !== undefined)
        expect(protocolFor(plain, configured, { features }, after)).toEqual(after)
      }),
    )
  })
})

describe('requests among properties', () => {
  it('are taken out of them', () => {
    const given = {
      'delta.feature.DeletionVectors': 'supported',
      'delta.feature.fromTheFuture': 'supported',
      'delta.minReaderVersion': '3',
      'delta.appendOnly': 'true',
    }
    expect(splitRequest(given)).toEqual({
      configuration: { 'delta.appendOnly': 'true' },
      request: { features: ['deletionVectors', 'fromTheFuture'], minReaderVersion: 3, minWriterVersion: undefined },
    })
  })
})
