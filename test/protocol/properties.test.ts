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
      checkpointInterval: 10,
      deletedFileRetentionMs: 604_800_000,
      dataSkippingNumIndexedCols: 32,
      targetFileSizeBytes: 134_217_728,
      inCommitTimestamps: false,
    })
    const rubbish = Object.fromEntries(
      [
        'appendOnly',
        'checkpointInterval',
        'deletedFileRetentionDuration',
        'dataSkippingNumIndexedCols',
        'targetFileSize',
      ].flatMap((name) => [[`delta.${name}`, '']]),
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

  it('are known in any letter case, and kept in the protocol\u2019s', () => {
    expect(canonicalProperties({ 'DELTA.APPENDONLY': 'true', Mine: 'x', 'Delta.other': '1' })).toEqual({
      'delta.appendOnly': 'true',
      Mine: 'x',
      'delta.other': '1',
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

  it('refuse a promise that nobody here would keep, and let other people\u2019s properties be', () => {
    expect(() => checkNewProperties({ 'delta.enableDeletionVectors': 'true' })).toThrow(
      expect.objectContaining({ code: 'FEATURE_UNSUPPORTED' }) as Error,
    )
    expect(() => checkNewProperties({ owner: 'me', 'delta.appendOnly': 'false' })).not.toThrow()
  })
})
