import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readCommit } from '../../src/log/segment-load.js'
import { TableLog } from '../../src/log/table-log.js'
import { addCounted, NO_FILES, SIZE_BINS, totalsAfter } from '../../src/log/table-totals.js'
import type { Action } from '../../src/protocol/actions.js'
import { formatCommit, parseCommit } from '../../src/protocol/commit-file.js'
import { commitPath, logFilePath } from '../../src/protocol/log-path.js'
import { MemoryStore } from '../../src/storage/memory.js'
import type { ObjectStore } from '../../src/storage/store.js'
import { FaultyStore } from '../support/faulty-store.js'
import { addOf, metadata, ndjson, openLake, openWorld, PROTOCOL, removeOf, writeLog } from '../support/world.js'

const world = await openWorld()
type Checksum = Record<string, unknown>
const crcPath = (version: number) => logFilePath({ kind: 'checksum', version })

async function checksumOf(store: ObjectStore, version: number): Promise<Checksum | undefined> {
  const bytes = await store.get(crcPath(version))
  return bytes && (JSON.parse(Buffer.from(bytes).toString()) as Checksum)
}

const commitOf = (...actions: readonly Action[]) => parseCommit(1, formatCommit([{ commitInfo: {} }, ...actions]), 'it')
const vector = (cardinality: number, pathOrInlineDv = 'x') => ({
  storageType: 'u',
  pathOrInlineDv,
  sizeInBytes: 1,
  cardinality,
})

describe('totals', () => {
  const logical = fc.record({
    size: fc.oneof(fc.nat(2 ** 24), fc.nat({ max: 2 ** 40 })),
    cardinality: fc.option(fc.nat(2 ** 32)),
  })

  it('of a relation are those that its commits add up to', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(logical, { maxLength: 40 }), fc.nat(40), async (files, gone) => {
        const adds = files.map(({ size, cardinality }, at) =>
          addOf(`f${at}`, { size, ...(cardinality === null ? {} : { deletionVector: vector(cardinality) }) }),
        )
        const removes = adds
          .slice(0, gone)
          .map(({ path, size, deletionVector }) => removeOf(path, { size, ...(deletionVector ? { deletionVector } : {}) }))
        const commits: Action[][] = [adds.map((add) => ({ add })), removes.map((remove) => ({ remove }))]
        const store = new MemoryStore()
        await writeLog(store, [PROTOCOL, metadata()], ...commits)
        const log = await TableLog.load(world.table(store).deps)
        await log.countTotals()
        let told: ReturnType<typeof totalsAfter> = NO_FILES
        for (const actions of commits) told &&= totalsAfter(told, commitOf(...actions), new Set())
        expect(log.totals.now).toEqual(told)
        await log.close()
      }),
      { numRuns: 30 },
    )
  })

  it('are not known after a remove without size, and after an add of a file that may be live', () => {
    const totalsOf = (...actions: readonly Action[]) => totalsAfter(NO_FILES, commitOf(...actions), new Set(['a']))
    expect(totalsOf({ remove: removeOf('a') })).toBeUndefined()
    expect(totalsOf({ add: addOf('a') })).toBeUndefined()
    expect(totalsOf({ txn: { appId: 'a', version: 1 } })).toBe(NO_FILES)
  })

  it('follow a file whose deletion vector is swapped', () => {
    const before = addCounted(NO_FILES, [{ files: 1, size: 10, deleted: 3, bytes: 10, vectors: 1, deletedRows: 3 }])
    const swap = commitOf(
      { remove: removeOf('a', { size: 10, deletionVector: vector(3) }) },
      { add: addOf('a', { deletionVector: vector(200, 'y') }) },
    )
    expect(totalsAfter(before, swap, new Set(['a']))).toMatchObject({ files: 1, bytes: 10, vectors: 1, deletedRows: 200 })
    expect(totalsAfter(before, swap, new Set(['a']))?.deletedCounts).toEqual([0, 0, 0, 1, 0, 0, 0, 0, 0, 0])
  })

  it('are binned as Spark bins them', () => {
    expect(SIZE_BINS).toHaveLength(95)
    const binOf = (size: number) =>
      addCounted(NO_FILES, [{ files: 1, size, deleted: 0, bytes: size, vectors: 0, deletedRows: 0 }]).sizeCounts.indexOf(1)
    for (const [bin, low] of SIZE_BINS.entries()) {
      expect(binOf(low)).toBe(bin)
      if (low > 0) expect(binOf(low - 1)).toBe(bin - 1)
    }
  })
})

describe('a version checksum', () => {
  it('follows every commit, and tells what a replay of its version tells', async () => {
    const root = new MemoryStore()
    await using lake = await openLake(root)
    await lake.sql(
      "CREATE TABLE t (id BIGINT, v VARCHAR) TBLPROPERTIES ('delta.enableDeletionVectors' = 'true', " +
        "'delta.enableInCommitTimestamps' = 'true', 'delta.checkpointInterval' = '3')",
    )
    const table = lake.table('t')
    for (let batch = 0; batch < 4; batch++) {
      const rows = Array.from({ length: 200 }, (_, at) => ({ id: batch * 200 + at, v: 'x' }))
      await table.append(ndjson(...rows), { txn: { appId: 'p', version: batch } })
    }
    await lake.sql('DELETE FROM t WHERE id % 50 = 0')
    await lake.sql('DELETE FROM t WHERE id % 7 = 0')
    await lake.sql("UPDATE t SET v = 'y' WHERE id < 3")
    await lake.sql('OPTIMIZE t')
    await lake.sql('DELETE FROM t')
    await table.append(ndjson({ id: 1, v: 'z' }))
    await lake.close()

    const store = root.child('t')
    const { deps } = world.table(store)
    let version = 0
    let vectors = 0
    const missing: number[] = []
    for (; await store.head(commitPath(version)); version++) {
      const log = await TableLog.load(deps, version)
      await log.countTotals()
      const found = await checksumOf(store, version)
      if (!found) {
        missing.push(version)
        continue
      }
      const info = (await readCommit(store, version))?.commitInfo
      const totals = log.totals.now
      expect(found, `version ${version}`).toMatchObject({
        txnId: info?.txnId,
        tableSizeBytes: totals?.bytes,
        numFiles: totals?.files,
        numDeletedRecordsOpt: totals?.deletedRows,
        numDeletionVectorsOpt: totals?.vectors,
        deletedRecordCountsHistogramOpt: { deletedRecordCounts: totals?.deletedCounts },
        inCommitTimestampOpt: info?.inCommitTimestamp,
        setTransactions: [...log.transactions()].map(
          ({ appId, version }) => expect.objectContaining({ appId, version }) as object,
        ),
        ...(log.stateAt(version) as object),
        fileSizeHistogram: { fileCounts: totals?.sizeCounts, totalBytes: totals?.sizeBytes },
      })
      vectors += totals?.vectors ?? 0
      await log.close()
    }
    expect(version).toBeGreaterThanOrEqual(11)
    expect(vectors).toBeGreaterThan(0)
    // Versions that come while one is written are passed over, but for the newest.
    expect(missing.length).toBeLessThan(4)
    expect(missing).not.toContain(version - 1)
  })

  it('is never waited for, never written over, and its failure is no failure of the commit', async () => {
    const store = new FaultyStore(new MemoryStore())
    await using lake = await openLake(store)
    store.fail({ call: 'put-if-absent', path: /0{19}1\.crc/, nth: 1, when: 'before' })
    await store.put(`t/${crcPath(2)}`, Buffer.from('theirs'))
    const table = lake.table('t')
    for (let id = 0; id < 4; id++) await table.append(ndjson({ id }), { create: true })
    await lake.close()
    expect(await store.head(`t/${crcPath(1)}`)).toBeUndefined()
    expect(Buffer.from((await store.get(`t/${crcPath(2)}`)) ?? []).toString()).toBe('theirs')
    expect(await checksumOf(store.child('t'), 4)).toMatchObject({ numFiles: 4 })
    expect(store.journal.filter((entry) => /put-if-absent .*\.crc/.test(entry)).length).toBeLessThanOrEqual(5)
  })

  it('of a table that somebody else writes to as well is written again once its files are counted', async () => {
    const root = new MemoryStore()
    await using lake = await openLake(root)
    await using other = await openLake(root)
    await lake.sql("CREATE TABLE t (id BIGINT) TBLPROPERTIES ('delta.checkpointInterval' = '4')")
    await lake.table('t').append(ndjson({ id: 1 }))
    await other.table('t').append(ndjson({ id: 2 }))
    for (let id = 3; id < 6; id++) await lake.table('t').append(ndjson({ id }))
    await lake.close()
    const store = root.child('t')
    expect(await checksumOf(store, 3)).toBeUndefined()
    expect(await checksumOf(store, 5)).toMatchObject({ numFiles: 5 })
  })
})
