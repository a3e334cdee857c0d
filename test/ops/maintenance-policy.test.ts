import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { clusteringMark } from '../../src/ops/clustering-plan.js'
import { chooseClustering, chooseCompaction } from '../../src/ops/maintenance-policy.js'

const MB = 2 ** 20
const policy = { targetBytes: 128 * MB, filesMin: 16 }
const files = (count: number, sizeBytes: number, day = '1') =>
  Array.from({ length: count }, () => ({ sizeBytes, partitionValues: { day } }))

describe('which files to rewrite', () => {
  it('are none before there are enough of about one size', () => {
    expect(chooseCompaction(files(15, 1000), policy)).toBeUndefined()
    expect(chooseCompaction([...files(15, 1000), ...files(15, MB)], policy)).toBeUndefined()
    expect(chooseCompaction(files(50, 127 * MB), policy)).toBeUndefined()
  })

  it('are those that save a reader most files for each byte', () => {
    const choice = chooseCompaction([...files(20, 10 * MB), ...files(16, 1000)], policy)
    expect(choice).toMatchObject({ bytes: 16_000, filesSaved: 15 })
  })

  it('are of one partition', () => {
    expect(chooseCompaction([...files(10, 1000, '1'), ...files(10, 1000, '2')], policy)).toBeUndefined()
  })

  it('leave few files, and are written few times over, however much streams in', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 500, max: 200_000 }), { minLength: 200, maxLength: 1500 }), (sizes) => {
        let live: { sizeBytes: number; partitionValues: Record<string, string> }[] = []
        let [appended, rewritten] = [0, 0]
        for (const sizeBytes of sizes) {
          live.push({ sizeBytes, partitionValues: {} })
          appended += sizeBytes
          for (let choice = chooseCompaction(live, policy); choice; choice = chooseCompaction(live, policy)) {
            const gone = new Set(choice.files)
            live = [...live.filter((file) => !gone.has(file)), { sizeBytes: choice.bytes, partitionValues: {} }]
            rewritten += choice.bytes
          }
        }
        const tiers = 6
        expect(live.length).toBeLessThan(policy.filesMin * tiers)
        expect(rewritten / appended).toBeLessThan(tiers)
      }),
      { numRuns: 20 },
    )
  })
})

describe('which files to cluster', () => {
  const fresh = (count: number, sizeBytes: number) =>
    files(count, sizeBytes).map((file) => ({ ...file, tags: undefined, clusteringProvider: undefined }))
  const cube = (name: string, count: number, sizeBytes: number, columns = ['x']) =>
    fresh(count, sizeBytes).map((file) => ({ ...file, ...clusteringMark(name, columns) }))
  const cubes = (count: number, of: number, sizeBytes: number) =>
    Array.from({ length: count }, (_, nth) => cube(`cube ${nth}`, of, sizeBytes)).flat()

  it('are none before there are enough clusters of about one size', () => {
    expect(chooseClustering(fresh(15, 1000), ['x'], policy)).toBeUndefined()
    expect(chooseClustering([...cube('a', 20, 1000), ...fresh(10, 1000)], ['x'], policy)).toBeUndefined()
    expect(chooseClustering(cubes(20, 10, 127 * MB), ['x'], policy)).toBeUndefined()
    expect(chooseClustering(cube('a', 20, 1000, ['y']), ['x'], policy)).toBeUndefined()
  })

  it('are whole clusters, the largest that are due, and no more than make a full one', () => {
    expect(chooseClustering([...fresh(16, 1000), ...cubes(15, 4, MB)], ['x'], policy)).toHaveLength(16)
    expect(chooseClustering([...fresh(16, 1000), ...cubes(16, 4, MB)], ['x'], policy)).toHaveLength(64)
    const large = chooseClustering(cubes(16, 3, 100 * MB), ['x'], policy)
    expect(large).toHaveLength(12)
  })
})

/** An hour's stream, looked at every five seconds: what is written for each byte that comes, and what a reader opens. */
function anHour(filesMin: number, commitBytes: number) {
  let live: { sizeBytes: number; partitionValues: Record<string, string> }[] = []
  let [rewritten, opened, most] = [0, 0, 0]
  const nextAt = (second: number) => (second % 5 === 0 ? chooseCompaction(live, { targetBytes: 128 * MB, filesMin }) : undefined)
  for (let second = 0; second < 3600; second++) {
    live.push({ sizeBytes: commitBytes, partitionValues: {} })
    for (let choice = nextAt(second); choice; choice = nextAt(second)) {
      const gone = new Set(choice.files)
      live = [...live.filter((file) => !gone.has(file)), { sizeBytes: choice.bytes, partitionValues: {} }]
      rewritten += choice.bytes
    }
    opened += live.length
    most = Math.max(most, live.length)
  }
  const writeAmplification = 1 + rewritten / (3600 * commitBytes)
  return {
    filesMin,
    'KB a commit': commitBytes / 1024,
    writeAmplification: Number(writeAmplification.toFixed(2)),
    filesOpened: Math.round(opened / 3600),
    filesMost: most,
  }
}

it("trades bytes written for files that a reader opens, over an hour's stream of a commit a second", () => {
  const trades = [4, 8, 16, 32, 64].flatMap((filesMin) => [20, 1000].map((kb) => anHour(filesMin, kb * 1024)))
  console.table(trades)
  for (const { filesMin, writeAmplification, filesOpened, filesMost } of trades) {
    expect(writeAmplification).toBeLessThan(8)
    expect(filesOpened).toBeLessThan(3 * filesMin + 40)
    expect(filesMost).toBeLessThan(6 * filesMin + 40)
  }
  // More patience costs readers and saves writers.
  const [first, last] = [trades[0], trades.at(-2)]
  expect(first?.writeAmplification).toBeGreaterThan(last?.writeAmplification ?? Number.NaN)
  expect(first?.filesOpened).toBeLessThan(last?.filesOpened ?? Number.NaN)
})
