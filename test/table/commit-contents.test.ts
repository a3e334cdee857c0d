import { describe, expect, it } from 'vitest'
import type { AddFile, Metadata, Protocol } from '../../src/protocol/actions.js'
import { type Commit, parseCommit } from '../../src/protocol/commit-file.js'
import { commitPath } from '../../src/protocol/log-path.js'
import { MemoryStore } from '../../src/storage/memory.js'
import type { DeltaTable } from '../../src/table/delta-table.js'
import { FaultyStore } from '../support/faulty-store.js'
import { addOf, metadata, openWorld, removeOf, skippingClock, writeLog } from '../support/world.js'

const world = await openWorld()
const features = (...writerFeatures: string[]): { protocol: Protocol } => ({
  protocol: { minReaderVersion: 1, minWriterVersion: 7, writerFeatures },
})
const ICT = { 'delta.enableInCommitTimestamps': 'true' }
const NO_ICT = { 'delta.enableInCommitTimestamps': 'false' }
const info = (inCommitTimestamp: number) => ({ commitInfo: { inCommitTimestamp } })

async function tableWith(...actions: Parameters<typeof writeLog>[1][]) {
  const store = new FaultyStore(new MemoryStore())
  await writeLog(store, ...actions)
  return { store, ours: world.table(store), theirs: world.table(store) }
}
const append = async (table: DeltaTable, ...adds: readonly AddFile[]) => (await table.transaction()).add(adds).commit()
async function commitOf(store: FaultyStore, version: number): Promise<Commit> {
  return parseCommit(version, (await store.get(commitPath(version))) ?? new Uint8Array(), 'f')
}
const configured = ({ metadata: before }: { metadata: Metadata }, more: Record<string, string>): Metadata => ({
  ...before,
  configuration: { ...before.configuration, ...more },
})
const rows = (path: string, numRecords: number, more: Partial<AddFile> = {}) =>
  addOf(path, { stats: JSON.stringify({ numRecords }), ...more })

describe('the lines of a commit', () => {
  it('stand in one order: provenance, protocol, metadata, domains, producers, removes, adds, changes', async () => {
    const { store, ours } = await tableWith([features('domainMetadata'), metadata(), { add: addOf('a') }])
    const transaction = await ours.transaction()
    await transaction
      .add([addOf('b')])
      .addChangeFiles([{ path: '_change_data/c', partitionValues: {}, size: 1, dataChange: false }])
      .remove([removeOf('a')])
      .setTransaction({ appId: 'p', version: 1, rows: 1, rejected: 0 })
      .setDomain({ domain: 'mine', configuration: '{}', removed: false })
      .setMetadata(configured(transaction, { note: 'x' }))
      .setProtocol(features('domainMetadata', 'inCommitTimestamp').protocol)
      .commit()
    const lines = Buffer.from((await store.get(commitPath(1))) ?? [])
      .toString()
      .trim()
      .split('\n')
    const kinds = lines.map((line) => Object.keys(JSON.parse(line) as object)[0])
    expect(kinds).toEqual(['commitInfo', 'protocol', 'metaData', 'domainMetadata', 'txn', 'remove', 'add', 'cdc'])
    const [log] = [await ours.refresh()]
    expect([...log.domainMetadata()]).toMatchObject([{ domain: 'mine' }])
    expect(log.stateAt(1)).toMatchObject({ metadata: { configuration: { note: 'x' } } })
  })

  it('say of an append what Spark says of its own', async () => {
    const { store, ours } = await tableWith([features(), metadata({ 'delta.isolationLevel': 'Serializable' })])
    const parameters = { mode: 'Append', partitionBy: '[]' }
    await (await ours.transaction())
      .add([addOf('a')])
      .describe({ name: 'WRITE', parameters, metrics: { numFiles: 1 }, userMetadata: 'why', keepsRowIds: true })
      .commit()
    const { commitInfo } = await commitOf(store, 1)
    expect(commitInfo).toEqual({
      timestamp: world.clock.now(),
      operation: 'WRITE',
      operationParameters: parameters,
      readVersion: 0,
      isolationLevel: 'Serializable',
      isBlindAppend: true,
      operationMetrics: { numFiles: '1' },
      userMetadata: 'why',
      tags: { 'delta.rowTracking.preserved': 'true' },
      engineInfo: expect.stringMatching(/^deltaic\//),
      txnId: expect.any(String),
      checksum: expect.stringMatching(/^crc32:[0-9a-f]{8}$/),
    })
  })

  it('tell a blind append from what read the table, and what only rearranges it', async () => {
    const { store, ours } = await tableWith([features(), metadata(), { add: addOf('a') }])
    const steps: [(t: Awaited<ReturnType<DeltaTable['transaction']>>) => unknown, boolean, string][] = [
      [(t) => t.add([addOf('b')]), true, 'WriteSerializable'],
      [(t) => t.add([addOf('c')]).readWhole(), false, 'WriteSerializable'],
      [(t) => t.add([addOf('d')]).readFiles([{ file: 'a' }]), false, 'WriteSerializable'],
      [(t) => t.add([addOf('e')]).readWhere('part IS NULL'), false, 'WriteSerializable'],
      [(t) => t.remove([removeOf('b')]), false, 'WriteSerializable'],
      [(t) => t.setMetadata(configured(t, { x: 'y' })), true, 'WriteSerializable'],
      [
        (t) => t.remove([removeOf('c', { dataChange: false })]).add([addOf('f', { dataChange: false })]),
        false,
        'SnapshotIsolation',
      ],
    ]
    for (const [version, [stage, isBlindAppend, isolationLevel]] of steps.entries()) {
      const transaction = await ours.transaction()
      stage(transaction)
      expect(await transaction.commit()).toMatchObject({ kind: 'committed' })
      expect((await commitOf(store, version + 1)).commitInfo).toMatchObject({ isBlindAppend, isolationLevel })
    }
  })

  it.each([
    ['two removes of one file', [], [removeOf('a'), removeOf('a')]],
    ['a file put back where it was removed', [addOf('a')], [removeOf('a')]],
  ])('never hold %s', async (_, adds, removes) => {
    const { store, ours } = await tableWith([features(), metadata(), { add: addOf('a') }])
    const transaction = (await ours.transaction()).add(adds).remove(removes)
    await expect(transaction.commit()).rejects.toMatchObject({ code: 'INVARIANT_BROKEN' })
    expect(await store.get(commitPath(1))).toBeUndefined()
  })
})

describe('in-commit timestamps', () => {
  const future = Date.UTC(2040, 0, 1)

  it('go up by at least one, whatever the clock says, also past winners, and cost no request', async () => {
    const { store, ours, theirs } = await tableWith(
      [info(5), features('inCommitTimestamp'), metadata(ICT)],
      [info(future), { add: addOf('a') }],
    )
    const transaction = (await ours.transaction()).add([addOf('c')])
    await append(theirs, addOf('b'))
    const before = store.journal.length
    await transaction.commit()
    expect(store.journal.slice(before).filter((call) => call.startsWith('head'))).toEqual([])
    expect((await commitOf(store, 2)).commitInfo?.inCommitTimestamp).toBe(future + 1)
    expect((await commitOf(store, 3)).commitInfo?.inCommitTimestamp).toBe(future + 2)
  })

  it('are the clock’s where that is ahead, and stand in version 0 without saying since when', async () => {
    const store = new FaultyStore(new MemoryStore())
    const clock = skippingClock()
    const table = world.table(store, { clock })
    const { commitInfo } = { commitInfo: { operation: 'CREATE TABLE' } }
    const made = (metadata(ICT) as { metaData: Metadata }).metaData
    await table.create(features('inCommitTimestamp').protocol, made, [{ commitInfo }])
    clock.advance(10)
    await append(table, addOf('a'))
    const [first, second] = [await commitOf(store, 0), await commitOf(store, 1)]
    expect([first, second].map(({ commitInfo: one }) => one?.inCommitTimestamp)).toEqual([clock.now() - 10, clock.now()])
    expect(first.metaData?.configuration).toEqual(ICT)
  })

  it('are enabled on a table with a past by a commit that says so of itself, wherever it lands', async () => {
    const { store, ours, theirs } = await tableWith([features('inCommitTimestamp'), metadata()])
    const transaction = await ours.transaction()
    transaction.setMetadata(configured(transaction, ICT))
    await append(theirs, addOf('a'))
    expect(await transaction.commit()).toMatchObject({ kind: 'committed', version: 2 })
    const { commitInfo, metaData } = await commitOf(store, 2)
    const fileTime = (await store.head(commitPath(1)))?.modifiedAtMs ?? 0
    expect(commitInfo?.inCommitTimestamp).toBeGreaterThan(fileTime)
    expect(metaData?.configuration).toEqual({
      ...ICT,
      'delta.inCommitTimestampEnablementVersion': '2',
      'delta.inCommitTimestampEnablementTimestamp': String(commitInfo?.inCommitTimestamp),
    })
    const again = await ours.transaction()
    await again.setMetadata(configured(again, { note: 'x' })).commit()
    expect((await commitOf(store, 3)).metaData?.configuration).toEqual({ ...metaData?.configuration, note: 'x' })
    const off = await ours.transaction()
    await off.setMetadata(configured(off, NO_ICT)).commit()
    expect((await commitOf(store, 4)).metaData?.configuration).toEqual({ ...NO_ICT, note: 'x' })
    expect((await commitOf(store, 4)).commitInfo?.inCommitTimestamp).toBeUndefined()
  })
})

describe('row ids', () => {
  const tracked = [features('domainMetadata', 'rowTracking'), metadata({ 'delta.enableRowTracking': 'true' })]
  const mark = async (table: DeltaTable) =>
    [...(await table.refresh()).domainMetadata()].map(
      ({ configuration }) => (JSON.parse(configuration) as { rowIdHighWaterMark: number }).rowIdHighWaterMark,
    )
  const idsOf = async (store: FaultyStore, version: number) =>
    (await commitOf(store, version)).adds.map(({ path, baseRowId, defaultRowCommitVersion }) => [
      path,
      baseRowId,
      defaultRowCommitVersion,
    ])

  it('are given to new files one after the other, anew for each attempt', async () => {
    const { store, ours, theirs } = await tableWith(tracked)
    const transaction = (await ours.transaction()).add([rows('b', 10), rows('c', 5)])
    await append(theirs, rows('a', 7))
    expect(await transaction.commit()).toMatchObject({ kind: 'committed', version: 2, attempts: 2 })
    expect(await idsOf(store, 1)).toEqual([['a', 0, 1]])
    expect(await idsOf(store, 2)).toEqual([
      ['b', 7, 2],
      ['c', 17, 2],
    ])
    expect(await mark(ours)).toEqual([21])
  })

  it('stay with a file that comes again or changes its deletion vector, and the mark never goes back', async () => {
    const { store, ours } = await tableWith(tracked)
    await append(ours, rows('a', 7))
    const vector = { storageType: 'i', pathOrInlineDv: 'x', sizeInBytes: 1, cardinality: 1 }
    const ids = { baseRowId: 0, defaultRowCommitVersion: 1 }
    await (await ours.transaction())
      .remove([removeOf('a', ids)])
      .add([rows('a', 7, { deletionVector: vector })])
      .commit()
    await append(ours, rows('old', 3, { baseRowId: 100, defaultRowCommitVersion: 0 }), rows('new', 1))
    expect(await idsOf(store, 2)).toEqual([['a', 0, 1]])
    expect((await commitOf(store, 2)).domains).toEqual([])
    expect(await idsOf(store, 3)).toEqual([
      ['old', 100, 0],
      ['new', 103, 3],
    ])
    expect(await mark(ours)).toEqual([103])
  })

  it('are not given while the table suspends them, and not without a number of rows', async () => {
    const { store, ours } = await tableWith([tracked[0] as never, metadata({ 'delta.rowTrackingSuspended': 'true' })])
    await append(ours, rows('a', 1))
    expect(await idsOf(store, 1)).toEqual([['a', undefined, undefined]])
    const other = await tableWith(tracked)
    await expect(append(other.ours, addOf('a'))).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
  })

  it('forbid to move rows for those who do not keep them', async () => {
    const { ours } = await tableWith(tracked)
    await append(ours, rows('a', 1), rows('b', 1))
    const ids = { dataChange: false, baseRowId: 0, defaultRowCommitVersion: 1 }
    const merge = async (keepsRowIds?: boolean) =>
      (await ours.transaction())
        .remove([removeOf('a', ids), removeOf('b', ids)])
        .add([rows('ab', 2, { dataChange: false })])
        .describe({ name: 'OPTIMIZE', keepsRowIds })
        .commit()
    await expect(merge()).rejects.toMatchObject({ code: 'FEATURE_UNSUPPORTED' })
    await expect(merge(false)).rejects.toMatchObject({ code: 'FEATURE_UNSUPPORTED' })
    expect(await merge(true)).toMatchObject({ kind: 'committed' })
  })

  it('past 2^53 are refused, not rounded', async () => {
    const { ours } = await tableWith(tracked, '{"add":{"path":"a","size":1,"baseRowId":9007199254740993}}')
    await expect(ours.snapshot()).rejects.toMatchObject({ code: 'FEATURE_UNSUPPORTED' })
  })
})
