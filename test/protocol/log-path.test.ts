import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { beforeVersion, commitPath, formatLogPath, type LogPath, parseLogPath } from '../../src/protocol/log-path.js'

const version = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER })
const logPath: fc.Arbitrary<LogPath> = fc.oneof(
  fc.record({ kind: fc.constantFrom('commit' as const, 'checksum' as const, 'checkpoint' as const), version }),
  fc
    .tuple(fc.integer({ min: 0, max: 2 ** 50 }), fc.integer({ min: 1, max: 2 ** 50 }))
    .map(([start, length]) => ({ kind: 'compacted' as const, version: start, endVersion: start + length })),
  fc
    .tuple(version, fc.integer({ min: 1, max: 999_999 }), fc.nat(999_999))
    .map(([at, part, more]) => ({ kind: 'multipart-checkpoint' as const, version: at, part, parts: part + more })),
  fc.record({
    kind: fc.constant('uuid-checkpoint' as const),
    version,
    uuid: fc.uuid(),
    format: fc.constantFrom('json', 'parquet'),
  }),
)

describe('log paths', () => {
  it('parse(format(path)) is path', () => {
    fc.assert(
      fc.property(logPath, (path) => {
        expect(parseLogPath(formatLogPath(path))).toEqual(path)
      }),
    )
  })

  it('format(parse(name)) is name, for every name that is known', () => {
    const digits = (n: number) => fc.stringMatching(new RegExp(`^\\d{${n}}$`))
    const name = fc
      .tuple(digits(20), digits(10), digits(10), fc.constantFrom('json', 'crc', 'checkpoint.parquet', 'parts', 'compacted'))
      .map(([v, a, b, kind]) => {
        if (kind === 'parts') return `${v}.checkpoint.${a}.${b}.parquet`
        return kind === 'compacted' ? `${'0'.repeat(20)}.${v}.compacted.json` : `${v}.${kind}`
      })
    fc.assert(
      fc.property(name, (text) => {
        const path = parseLogPath(text)
        if (path) expect(formatLogPath(path)).toBe(text)
      }),
    )
  })

  it.each([
    '',
    '1.json',
    '0000000000000000001.json',
    '000000000000000000001.json',
    '99999999999999999999.json',
    '00000000000000000001.json.tmp',
    '.00000000000000000001.json.crc',
    '00000000000000000001.checkpoint.0000000000.0000000002.parquet',
    '00000000000000000001.checkpoint.0000000003.0000000002.parquet',
    '00000000000000000005.00000000000000000005.compacted.json',
    '00000000000000000005.00000000000000000004.compacted.json',
    '00000000000000000005.99999999999999999999.compacted.json',
    '_last_checkpoint',
    '_staged_commits',
    '00000000000000000001.checkpoint.avro',
    '٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠١.json',
  ])('does not know %j', (name) => {
    expect(parseLogPath(name)).toBeUndefined()
  })

  it('finds commits of a version, and what comes before them in a listing', () => {
    expect(commitPath(7)).toBe('_delta_log/00000000000000000007.json')
    expect(beforeVersion(7) < commitPath(7)).toBe(true)
    expect(beforeVersion(7) > commitPath(6)).toBe(true)
    expect(beforeVersion(7) > '_delta_log/00000000000000000006.checkpoint.parquet').toBe(true)
  })
})
