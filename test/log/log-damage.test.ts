import { describe, expect, it } from 'vitest'
import { writeCheckpoint } from '../../src/log/checkpoint-write.js'
import { TableLog } from '../../src/log/table-log.js'
import { formatCommit } from '../../src/protocol/commit-file.js'
import { commitPath, formatLogPath, LAST_CHECKPOINT_PATH, LOG_FOLDER } from '../../src/protocol/log-path.js'
import { MemoryStore } from '../../src/storage/memory.js'
import { addOf, metadata, openWorld, PROTOCOL, removeOf, writeLog } from '../support/world.js'

const world = await openWorld()
const checkpointPath = (version: number) => `${LOG_FOLDER}/${formatLogPath({ kind: 'checkpoint', version })}`
const FIRST = [PROTOCOL, metadata()]

/** A table with a file a version, and checkpoints where asked for. */
async function tableWith(versions: number, ...checkpoints: readonly number[]): Promise<MemoryStore> {
  const store = new MemoryStore()
  await writeLog(store, FIRST, ...Array.from({ length: versions }, (_, at) => [{ add: addOf(`f${at + 1}`) }]))
  const deps = world.table(store).deps
  for (const version of checkpoints) {
    const log = await TableLog.load(deps, version)
    await writeCheckpoint(deps, log, 0)
    await log.close()
  }
  return store
}

const filesOf = async (store: MemoryStore, version?: number) => {
  const snapshot = await world.table(store).snapshot(version === undefined ? {} : { version })
  return (await snapshot.files()).files.map(({ path }) => path).toSorted()
}
const degraded = () => world.events.splice(0).filter(({ type }) => type === 'degraded')

describe('a damaged entry', () => {
  it.each([
    ['a truncated line', '{"add":{"path":"a","size":1,"dataChange":true}}\n{"add":{"pa', 2],
    ['a line that is no object', '[]\n', 1],
    ['an add without a path', '{"add":{"size":1}}\n', 1],
    ['an add without a size', '{"add":{"path":"a"}}\n', 1],
    ['two adds of one path', '{"add":{"path":"a","size":1}}\n\n{"add":{"path":"a","size":1}}\n', 3],
    ['two metadata', `${formatCommit([metadata(), metadata()])}`, 2],
    ['a txn without a version', '{"txn":{"appId":"a"}}\n', 1],
  ])('with %s is named, with its line', async (_, text, line) => {
    const store = await tableWith(1)
    await store.put(commitPath(2), Buffer.from(text))
    const failure = { code: 'LOG_LINE_MALFORMED', kind: 'corrupt', details: { file: commitPath(2), line } }
    await expect(filesOf(store)).rejects.toMatchObject(failure)
  })

  it('hides from nobody who follows the log, and the version before it stays readable', async () => {
    const store = await tableWith(1)
    const table = world.table(store)
    const before = await table.snapshot()
    await store.put(commitPath(2), Buffer.from('{"add":'))
    await expect(table.snapshot()).rejects.toMatchObject({ code: 'LOG_LINE_MALFORMED' })
    expect((await before.files()).files).toHaveLength(1)
    await store.put(commitPath(2), formatCommit([{ add: addOf('mended') }]))
    expect((await (await table.snapshot()).files()).files.map(({ path }) => path)).toEqual(['f1', 'mended'])
  })

  it('may hold actions and fields that nobody knows yet', async () => {
    const store = await tableWith(0)
    const lines = [
      '{"futureAction":{"x":1}}',
      '{"cdc":{"path":"c","partitionValues":{},"size":1,"dataChange":false}}',
      '{"add":{"path":"a","partitionValues":{},"size":1,"modificationTime":1,"dataChange":true,"newField":{"deep":[1]}}}',
      '{"commitInfo":{"operation":"WRITE","more":true}}',
    ]
    await store.put(commitPath(1), Buffer.from(lines.join('\r\n')))
    expect(await filesOf(store)).toEqual(['a'])
  })

  it.each([
    ['protocol', [metadata()]],
    ['metadata', [PROTOCOL]],
  ])('without %s leaves the log incomplete', async (_, first) => {
    const store = new MemoryStore()
    await writeLog(store, first)
    await expect(filesOf(store)).rejects.toMatchObject({ code: 'LOG_INCOMPLETE', kind: 'corrupt' })
  })
})

describe('a commit that is gone', () => {
  it('is named, and earlier versions are still read', async () => {
    const store = await tableWith(4)
    await store.delete([commitPath(2)])
    await expect(filesOf(store)).rejects.toMatchObject({ code: 'LOG_GAP', details: { file: commitPath(2) } })
  })

  it('does not matter below a checkpoint', async () => {
    const store = await tableWith(4, 3)
    await store.delete([commitPath(2)])
    expect(await filesOf(store)).toEqual(['f1', 'f2', 'f3', 'f4'])
  })
})

describe('a damaged checkpoint', () => {
  const everything = ['f1', 'f2', 'f3', 'f4', 'f5', 'f6']

  it.each([
    [
      'is cut short',
      async (store: MemoryStore) =>
        store.put(checkpointPath(5), ((await store.get(checkpointPath(5))) ?? new Uint8Array()).slice(0, 400)),
    ],
    ['is empty', async (store: MemoryStore) => store.put(checkpointPath(5), new Uint8Array())],
    ['is no Parquet', async (store: MemoryStore) => store.put(checkpointPath(5), Buffer.from('hello'.repeat(100)))],
  ])('that %s is passed over for an earlier one, with an event', async (_, damage) => {
    const store = await tableWith(6, 3, 5)
    await damage(store)
    await store.delete([commitPath(0), commitPath(1), commitPath(2)])
    degraded()
    expect(await filesOf(store)).toEqual(everything)
    expect(degraded().length).toBeGreaterThan(0)
  })

  it('is passed over for the commits when there is no other', async () => {
    const store = await tableWith(6, 5)
    await store.put(checkpointPath(5), Buffer.from('no'))
    expect(await filesOf(store)).toEqual(everything)
  })

  it('without protocol and metadata is passed over too', async () => {
    const store = await tableWith(6, 3, 5)
    const file = world.spool.file('parquet')
    await world.database.rows(`COPY (SELECT {'appId': 'a', 'version': 1} AS txn) TO '${file}' (FORMAT parquet)`)
    await store.putFile(checkpointPath(5), file)
    expect(await filesOf(store)).toEqual(everything)
  })

  it('ends the reading when nothing else reaches the version, with its name', async () => {
    const store = await tableWith(6, 5)
    await store.put(checkpointPath(5), Buffer.from('no'))
    await store.delete([0, 1, 2, 3].map(commitPath))
    await expect(filesOf(store)).rejects.toMatchObject({
      code: 'CHECKPOINT_DAMAGED',
      kind: 'corrupt',
      details: { file: checkpointPath(5) },
    })
  })
})

describe('_last_checkpoint', () => {
  it.each([
    ['is garbage', 'not json at all'],
    ['is empty', ''],
    ['points past the log', '{"version":99,"size":1}'],
    ['points to a version without a checkpoint', '{"version":4,"size":1}'],
    ['is older than the newest checkpoint', '{"version":3,"size":1}'],
  ])('is only a hint when it %s', async (_, text) => {
    const store = await tableWith(6, 3, 5)
    await store.put(LAST_CHECKPOINT_PATH, Buffer.from(text))
    expect(await filesOf(store)).toEqual(['f1', 'f2', 'f3', 'f4', 'f5', 'f6'])
    for (const version of [2, 4]) expect(await filesOf(store, version)).toHaveLength(version)
  })

  it('does not hide an earlier checkpoint when its own is gone and only later ones follow', async () => {
    const store = await tableWith(8, 2, 7)
    await store.put(LAST_CHECKPOINT_PATH, Buffer.from('{"version":4,"size":1}'))
    await store.delete([commitPath(0), commitPath(1)])
    const log = await TableLog.load(world.table(store).deps, 5)
    expect(log.version).toBe(5)
    await log.close()
  })
})

describe('a log that other writers spell differently', () => {
  it('knows a file by its decoded path, absolute or not', async () => {
    const store = new MemoryStore({ name: 'spelt' })
    await writeLog(
      store,
      FIRST,
      [{ add: addOf('a%20b') }, { add: addOf('c') }],
      [{ remove: removeOf('a b') }, { remove: removeOf(`${store.uri}/c`) }],
    )
    expect(await filesOf(store)).toEqual([])
  })
})
