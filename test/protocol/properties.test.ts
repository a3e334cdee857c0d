import { describe, expect, it } from 'vitest'
import {
  canonicalProperties,
  checkNewProperties,
  parseInterval,
  parseSize,
  tableProperties,
} from '../../src/protocol/properties.js'

describe('intervals', () => {
  it.each([
    ['interval 7 days', 604_800_000],
    ['INTERVAL 1 WEEK', 604_800_000],
    ['2 weeks', 1_209_600_000],
    ['1 hour 30 minutes', 5_400_000],
    ['interval 0 hours', 0],
    ['1.5 seconds', 1500],
    ['500 microseconds', 0.5],
    ['  10   milliseconds ', 10],
  ])('read %j', (text, ms) => {
    expect(parseInterval(text)).toBe(ms)
  })

  it.each([undefined, '', 'interval', '7', '7 fortnights', '1 month', '2 years', 'days 7', '7 days 3', '-7 days', 'NaN days'])(
    'do not read %j',
    (text) => {
      expect(parseInterval(text)).toBeUndefined()
    },
  )
})

describe('sizes', () => {
  it.each([
    ['1048576', 1_048_576],
    ['128MB', 134_217_728],
    ['128 MiB', 134_217_728],
    ['1gb', 1_073_741_824],
    ['1.5k', 1536],
    ['2T', 2_199_023_255_552],
    ['10b', 10],
  ])('read %s', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes)
  })

  it.each([undefined, '', '0', '0.1', '-1', 'MB', '1 PB', '1e3', '1,000', '12 MB x'])('do not read %j', (text) => {
    expect(parseSize(text)).toBeUndefined()
  })
})

describe('table properties', () => {
  it('have defaults, also where a value cannot be read', () => {
    const defaults = tableProperties({})
    expect(defaults).toEqual({
      appendOnly: false,
      isView: false,
      constraints: new Map(),
      isolationLevel: 'WriteSerializable',
      checkpointInterval: 10,
      checkpointPolicy: 'classic',
      writeStatsAsJson: true,
      writeStatsAsStruct: true,
      enableExpiredLogCleanup: true,
      logRetentionMs: 2_592_000_000,
      checkpointProtectionBeforeVersion: 0,
      deletedFileRetentionMs: 604_800_000,
      setTransactionRetentionMs: undefined,
      dataSkippingNumIndexedCols: 32,
      dataSkippingStatsColumns: undefined,
      dataSkippingStringPrefixLength: 32,
      targetFileSizeBytes: 134_217_728,
      truncateHistoryRetentionMs: 86_400_000,
      parquetCodec: undefined,
      writePartitionColumns: false,
      autoCompact: false,
      optimizeWrite: false,
      columnMappingMode: 'none',
      maxColumnId: 0,
      deletionVectors: false,
      changeDataFeed: false,
      typeWidening: false,
      rowTracking: false,
      rowTrackingSuspended: false,
      materializedRowIdColumn: undefined,
      materializedRowCommitVersionColumn: undefined,
      inCommitTimestamps: false,
      inCommitTimestampEnablement: undefined,
    })
    const rubbish = Object.fromEntries(
      ['appendOnly', 'isolationLevel', 'checkpointInterval', 'checkpointPolicy', 'checkpoint.writeStatsAsJson', 'targetFileSize']
        .concat(['dataSkippingNumIndexedCols', 'dataSkippingStatsColumns', 'parquet.compression.codec', 'columnMapping.mode'])
        .concat(['logRetentionDuration', 'deletedFileRetentionDuration', 'inCommitTimestampEnablementVersion'])
        .map((name) => [`delta.${name}`, ',?']),
    )
    expect(tableProperties(rubbish)).toEqual(defaults)
    expect(tableProperties({ 'delta.checkpointInterval': '0', 'delta.dataSkippingNumIndexedCols': '1.5' })).toEqual(defaults)
  })

  it('are taken where they can be', () => {
    expect(
      tableProperties({
        'delta.appendOnly': 'True',
        'delta.checkpointInterval': ' 3 ',
        'delta.dataSkippingNumIndexedCols': '-1',
        'delta.targetFileSize': '1mb',
      }),
    ).toMatchObject({ appendOnly: true, checkpointInterval: 3, dataSkippingNumIndexedCols: -1, targetFileSizeBytes: 1_048_576 })
  })

  it.each<[string, readonly (readonly string[])[] | undefined]>([
    ['a', [['a']]],
    [' a , s.b ', [['a'], ['s', 'b']]],
    ['`odd, name`.c,d', [['odd, name', 'c'], ['d']]],
    ['`a``b`', [['a`b']]],
    ['', []],
    ['a,', undefined],
    ['a.', undefined],
    [',a', undefined],
    ['a b', undefined],
    ['a..b', undefined],
    ['`a', undefined],
  ])('name columns to have statistics: %j', (text, paths) => {
    expect(tableProperties({ 'delta.dataSkippingStatsColumns': text }).dataSkippingStatsColumns).toEqual(paths)
  })

  it('tell from where the times in commits count', () => {
    const configuration = {
      'delta.inCommitTimestampEnablementVersion': '7',
      'delta.inCommitTimestampEnablementTimestamp': '1700000000000',
    }
    expect(tableProperties(configuration).inCommitTimestampEnablement).toEqual({ version: 7, timestampMs: 1_700_000_000_000 })
  })

  it('are known in any letter case, and kept in the protocol\u2019s', () => {
    expect(canonicalProperties({ 'DELTA.APPENDONLY': 'true', Mine: 'x', 'Delta.other': '1' })).toEqual({
      'delta.appendOnly': 'true',
      Mine: 'x',
      'delta.other': '1',
    })
    expect(canonicalProperties({ 'delta.enableChangeDataCapture': 'true', 'Delta.Feature.Mine': 'supported' })).toEqual({
      'delta.enableChangeDataFeed': 'true',
      'delta.feature.Mine': 'supported',
    })
    expect(() => canonicalProperties({ 'delta.appendOnly': 'true', 'delta.appendonly': 'false' })).toThrow(
      expect.objectContaining({ code: 'ARGUMENT_INVALID' }) as Error,
    )
  })

  it.each([
    ['delta.checkpointInterval', '0'],
    ['delta.checkpointInterval', 'ten'],
    ['delta.appendOnly', 'yes'],
    ['delta.deletedFileRetentionDuration', '1 month'],
    ['delta.targetFileSize', 'big'],
    ['delta.dataSkippingNumIndexedCols', '-2'],
  ])('refuse %s = %s', (property, value) => {
    expect(() => checkNewProperties({ [property]: value })).toThrow(
      expect.objectContaining({ code: 'ARGUMENT_INVALID', details: { property, value } }) as Error,
    )
  })

  it.each([
    'delta.nobodyKnowsThis',
    'delta.constraints.c',
    'delta.columnMapping.maxColumnId',
    'delta.rowTracking.materializedRowIdColumnName',
    'delta.inCommitTimestampEnablementVersion',
  ])('refuse %s, whatever its value', (property) => {
    expect(() => checkNewProperties({ [property]: '1' })).toThrow(
      expect.objectContaining({ code: 'ARGUMENT_INVALID', details: { property } }) as Error,
    )
  })

  it.each([
    ['delta.minWriterVersion', '8'],
    ['delta.feature.deletionVectors', 'maybe'],
    ['delta.isolationLevel', 'WriteSerializable'],
    ['delta.checkpointPolicy', 'v3'],
    ['delta.parquet.compression.codec', 'zip'],
    ['delta.columnMapping.mode', 'both'],
    ['delta.dataSkippingStatsColumns', 'a,'],
  ])('refuse %s = %s too', (property, value) => {
    expect(() => checkNewProperties({ [property]: value })).toThrow(
      expect.objectContaining({ code: 'ARGUMENT_INVALID', details: { property, value } }) as Error,
    )
  })

  it('refuse a promise that nobody here would keep, and let other people\u2019s properties be', () => {
    for (const [property, value] of [
      ['delta.compatibility.symlinkFormatManifest.enabled', 'true'],
      ['delta.universalFormat.enabledFormats', 'iceberg'],
    ] as const)
      expect(() => checkNewProperties({ [property]: value })).toThrow(
        expect.objectContaining({ code: 'FEATURE_UNSUPPORTED', details: { property } }) as Error,
      )
    expect(() => checkNewProperties({ owner: 'me', 'delta.appendOnly': 'false' })).not.toThrow()
  })
})
