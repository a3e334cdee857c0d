import { describe, expect, it } from 'vitest'
import { readLastCheckpoint } from '../../src/log/last-checkpoint.js'
import { type LogListing, listLog } from '../../src/log/log-listing.js'
import { lastVersion, planSegments } from '../../src/log/segment.js'
import { commitPath, formatLogPath, LAST_CHECKPOINT_PATH, LOG_FOLDER } from '../../src/protocol/log-path.js'
import { MemoryStore } from '../../src/storage/memory.js'

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, at) => from + at)

function listing(
  commits: readonly number[],
  checkpoints: readonly number[] = [],
  runs: readonly (readonly [number, number])[] = [],
): LogListing {
  return {
    commits,
    fileTimesMs: new Map(),
    checksums: [],
    compacted: runs.map(([version, endVersion]) => ({ kind: 'compacted', version, endVersion })),
    checkpoints: checkpoints.map((version) => ({ version, format: 'parquet', paths: [`checkpoint-${version}`] })),
  }
}

const planned = (of: LogListing, target?: number) =>
  planSegments(of, target).map(({ version, checkpoint, entries }) => ({
    version,
    from: checkpoint?.version,
    commits: entries.map((entry) => (entry.kind === 'commit' ? entry.version : `${entry.version}-${lastVersion(entry)}`)),
  }))

describe('planSegments', () => {
  it('rebuilds the newest version from each checkpoint, newest first, and at last from the commits alone', () => {
    expect(planned(listing(range(0, 5), [4, 2]))).toEqual([
      { version: 5, from: 4, commits: [5] },
      { version: 5, from: 2, commits: [3, 4, 5] },
      { version: 5, from: undefined, commits: range(0, 5) },
    ])
  })

  it('passes over checkpoints after the version that is asked for', () => {
    expect(planned(listing(range(0, 5), [4, 2]), 3)).toEqual([
      { version: 3, from: 2, commits: [3] },
      { version: 3, from: undefined, commits: range(0, 3) },
    ])
  })

  it('needs no commit where a checkpoint is the version', () => {
    expect(planned(listing([], [7]))).toEqual([{ version: 7, from: 7, commits: [] }])
    expect(planned(listing([7, 8], [7]), 7)).toEqual([{ version: 7, from: 7, commits: [] }])
  })

  it('does not mind a gap below a checkpoint', () => {
    expect(planned(listing([0, 3, 4, 5], [4]))).toEqual([{ version: 5, from: 4, commits: [5] }])
  })

  it.each([
    ['in the middle', listing([0, 1, 3, 4]), undefined, 2],
    ['at the beginning', listing([1, 2]), undefined, 0],
    ['right after the checkpoint', listing([0, 1, 2, 4], [2]), undefined, 3],
    ['after the checkpoint, whose own commit is there', listing([10, 12], [10]), undefined, 11],
    ['at the version that is asked for', listing([0, 1, 3], []), 2, 2],
  ] as const)('names the file of a commit that is missing %s', (_, of, target, missing) => {
    expect(() => planSegments(of, target)).toThrowError(
      expect.objectContaining({ code: 'LOG_GAP', details: { file: commitPath(missing), version: missing } }),
    )
  })

  it.each([
    ['after the newest', listing(range(0, 3)), 4, { version: 4, earliest: 0, latest: 3 }],
    ['from before the log was cleaned', listing(range(10, 12), [10]), 7, { version: 7, earliest: 10, latest: 12 }],
    [
      'from before the oldest checkpoint, though some commits are left',
      listing(range(5, 12), [10]),
      7,
      { version: 7, earliest: 10, latest: 12 },
    ],
  ] as const)('finds no version %s, and says which there are', (_, of, target, details) => {
    expect(() => planSegments(of, target)).toThrowError(expect.objectContaining({ code: 'VERSION_NOT_FOUND', details }))
  })

  it('finds no table where there is neither commit nor checkpoint', () => {
    expect(() => planSegments(listing([]), undefined)).toThrowError(expect.objectContaining({ code: 'TABLE_NOT_FOUND' }))
  })

  it('takes the longest compacted file at each step, reads the newest commit itself, and does without them if need be', () => {
    const runs = [
      [1, 3],
      [1, 5],
      [4, 6],
      [6, 8],
      [7, 9],
    ] as const
    expect(planned(listing(range(0, 9), [], runs))).toEqual([
      { version: 9, from: undefined, commits: [0, '1-5', '6-8', 9] },
      { version: 9, from: undefined, commits: range(0, 9) },
    ])
    expect(planned(listing(range(0, 9), [2], [[1, 5]]))[0]).toEqual({ version: 9, from: 2, commits: range(3, 9) })
    expect(planned(listing(range(0, 9), [], runs), 4)[0]).toEqual({ version: 4, from: undefined, commits: [0, '1-3', 4] })
  })

  it('does not take a compacted file for the commits that are missing', () => {
    expect(() => planSegments(listing([0, 3, 4], [], [[1, 3]]), undefined)).toThrowError(
      expect.objectContaining({ code: 'LOG_GAP' }),
    )
  })
})

describe('listLog', () => {
  const multipart = (version: number, part: number, parts: number) =>
    formatLogPath({ kind: 'multipart-checkpoint', version, part, parts })
  const storeOf = async (...names: readonly string[]) => {
    const store = new MemoryStore()
    for (const name of names) await store.put(`${LOG_FOLDER}/${name}`, new Uint8Array())
    return store
  }

  it('takes a multi-part checkpoint for one only when every part is there', async () => {
    const whole = [multipart(4, 1, 2), multipart(4, 2, 2)]
    const store = await storeOf(...whole, multipart(6, 1, 3), multipart(6, 3, 3))
    expect((await listLog(store, 0)).checkpoints).toEqual([
      expect.objectContaining({ version: 4, paths: whole.map((name) => `${LOG_FOLDER}/${name}`) }),
    ])
  })

  it('does not mix the parts of two writers', async () => {
    const store = await storeOf(multipart(4, 1, 2), multipart(4, 2, 3), multipart(4, 3, 3))
    expect((await listLog(store, 0)).checkpoints).toEqual([])
  })

  it('prefers a checkpoint with a name of its own, then the classic one of a version', async () => {
    const classic = formatLogPath({ kind: 'checkpoint', version: 4 })
    const own = formatLogPath({ kind: 'uuid-checkpoint', version: 4, uuid: 'abc-1', format: 'json' })
    const store = await storeOf(multipart(4, 1, 2), multipart(4, 2, 2), classic, own)
    const [first, second, third] = (await listLog(store, 0)).checkpoints
    expect([first, second]).toEqual([
      { version: 4, format: 'json', paths: [`${LOG_FOLDER}/${own}`] },
      { version: 4, format: 'parquet', paths: [`${LOG_FOLDER}/${classic}`] },
    ])
    expect(third?.paths).toHaveLength(2)
  })

  it('passes over names that it does not know, and files below the log', async () => {
    const store = await storeOf(
      'notes.txt',
      '00000000000000000000.json.tmp',
      '_sidecars/00000000000000000007.json',
      '7.json',
      '00000000000000000003.crc',
    )
    await store.put(commitPath(0), new Uint8Array())
    expect(await listLog(store, 0)).toMatchObject({ commits: [0], compacted: [], checkpoints: [] })
  })

  it('lists from a version on, that one included', async () => {
    const store = await storeOf(...range(0, 12).map((version) => formatLogPath({ kind: 'commit', version })))
    expect((await listLog(store, 9)).commits).toEqual([9, 10, 11, 12])
  })
})

describe('readLastCheckpoint', () => {
  it.each([
    ['{"version":12,"size":3}', 12],
    ['{"version":12,"size":3', undefined],
    ['{"size":3,"version":12,"checksum":"not this one"}', undefined],
    ['{"version":1,"size":2,"tags":{"a b":["\u00e9",null,true]},"checksum":"178883a97a4a407fff03de82abd1e7f9"}', 1],
    ['', undefined],
    ['null', undefined],
    ['[]', undefined],
    ['{"version":"12"}', undefined],
    ['{"version":-1}', undefined],
    ['{"version":1.5}', undefined],
    ['\u0000\u0001', undefined],
  ])('reads %j as %s', async (text, version) => {
    const store = new MemoryStore()
    await store.put(LAST_CHECKPOINT_PATH, Buffer.from(text))
    expect((await readLastCheckpoint(store))?.version).toBe(version)
  })

  it('is no hint where there is no file', async () => {
    expect(await readLastCheckpoint(new MemoryStore())).toBeUndefined()
  })
})
