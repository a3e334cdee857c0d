import { mkdir, mkdtemp, readdir, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { openInput } from '../../src/ingest/input.js'
import { loadInput } from '../../src/ingest/load.js'
import { compact } from '../../src/ops/optimize.js'
import { vacuum } from '../../src/ops/vacuum.js'
import { describeDeletionVector } from '../../src/protocol/deletion-vector.js'
import { LocalStore } from '../../src/storage/local.js'
import { MemoryStore } from '../../src/storage/memory.js'
import type { ObjectStore } from '../../src/storage/store.js'
import type { DeltaTable } from '../../src/table/delta-table.js'
import { tombstoneOf } from '../../src/table/tombstone.js'
import { everyFault, FaultyStore } from '../support/faulty-store.js'
import { createTable, ndjson, openWorld, readRows } from '../support/world.js'

const world = await openWorld()
const HOUR = 3_600_000
const folder = await mkdtemp(join(tmpdir(), 'deltaic-vacuum-'))
afterAll(() => rm(folder, { recursive: true, force: true }))

async function append(table: DeltaTable, ...ids: readonly number[]) {
  const path = world.spool.file('ndjson')
  await world.spool.write(path, ndjson(...ids.map((id) => ({ id, v: `p${id % 2}` }))))
  await world.database.use(async (connection) =>
    loadInput(table, await openInput(connection, world.spool, 'ndjson', path), { onError: 'fail', keepRejects: async () => {} }),
  )
}

async function pathsOf(store: ObjectStore) {
  const found: string[] = []
  for await (const { path } of store.list('')) if (!path.startsWith('_delta_log/')) found.push(path)
  return found.toSorted()
}

const memory = () => new MemoryStore({ clock: world.clock })
const liveOf = async (table: DeltaTable) => (await (await table.snapshot()).files()).files
const idsOf = async (table: DeltaTable, version?: number) =>
  (await readRows(world, table, version)).map(({ id }) => id).toSorted((a, b) => a - b)

async function compacted(store: ObjectStore = memory(), options: Parameters<typeof createTable>[1] = {}) {
  const table = world.table(store)
  await createTable(table, options)
  for (let at = 0; at < 3; at++) await append(table, at * 2, at * 2 + 1)
  await compact(table, world.source)
  return { store, table }
}

describe('vacuum', () => {
  it('keeps all files within the retention, and after it only those of the newest version', async () => {
    const { store, table } = await compacted()
    world.clock.advance(167 * HOUR)
    expect(await vacuum(table)).toMatchObject({ filesDeleted: 0, bytesDeleted: 0 })
    world.clock.advance(2 * HOUR)
    const dry = await vacuum(table, { dryRun: true })
    expect(dry).toMatchObject({ filesDeleted: 3 })
    expect(await pathsOf(store)).toHaveLength(4)
    const result = await vacuum(table)
    expect(result).toEqual(dry)
    expect(await pathsOf(store)).toEqual((await liveOf(table)).map(({ file }) => file))
    expect(await idsOf(world.table(store))).toEqual([0, 1, 2, 3, 4, 5])
    expect((await table.history(2)).map(({ operation }) => operation)).toEqual(['VACUUM END', 'VACUUM START'])
    expect(await vacuum(table)).toMatchObject({ filesDeleted: 0 })
  })

  it('refuses a retention below the table’s own unless it is forced', async () => {
    const { store, table } = await compacted()
    world.clock.advance(2 * HOUR)
    await expect(vacuum(table, { retentionMs: HOUR })).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
    await expect(vacuum(table, { retentionMs: Number.NaN, force: true })).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
    expect(await pathsOf(store)).toHaveLength(4)
    expect(await vacuum(table, { retentionMs: HOUR, force: true })).toMatchObject({ filesDeleted: 3 })
  })

  it('takes old strangers and leaves hidden files, young ones, other tables and the log', async () => {
    const { store, table } = await compacted(memory(), { partitionBy: ['v'] })
    const old = ['stray.parquet', 'v=p0/stray.parquet', 'deletion_vector_1.bin', '_change_data/cdc-1.parquet']
    const kept = ['_hidden/a.parquet', '.b', 'v=p0/_c', 'inner/_delta_log/00000000000000000000.json', 'inner/part-0.parquet']
    for (const path of [...old, ...kept]) await store.put(path, Buffer.from('x'))
    world.clock.advance(169 * HOUR)
    await store.put('young.parquet', Buffer.from('x'))
    const result = await vacuum(table)
    expect(result.files.filter((path) => !path.includes('part-00000'))).toEqual(expect.arrayContaining(old))
    expect(result.filesDeleted).toBe(old.length + 6)
    expect(await pathsOf(store)).toEqual([...(await liveOf(table)).map(({ file }) => file), ...kept, 'young.parquet'].toSorted())
  })

  it('finds live files and vectors by their decoded names, absolute ones too', async () => {
    const store = new LocalStore(join(folder, 'näme with spaces'))
    const table = world.table(store)
    await createTable(table, {
      columns: [
        { name: '_p', type: 'STRING' },
        { name: 'id', type: 'BIGINT' },
      ],
      partitionBy: ['_p'],
    })
    const uuid = '0f0f0f0f-1111-4222-8333-444444444444'
    const files = ['_p=a %25ü/f 1.parquet', '_p=b/+&=.parquet', 'abs olute.parquet', `deletion_vector_${uuid}.bin`]
    const stray = ['_p=b/old.parquet', 'deletion_vector_00000000-1111-4222-8333-444444444444.bin']
    const past = new Date(world.clock.now() - 1000 * HOUR)
    for (const file of [...files, ...stray]) {
      await store.put(file, Buffer.from('x'))
      await utimes(store.localPath(file) ?? '', past, past)
    }
    const add = (path: string, more = {}) => ({
      path,
      partitionValues: { _p: 'a' },
      size: 1,
      modificationTime: 1,
      dataChange: true,
      ...more,
    })
    await (await table.transaction())
      .add([
        add('_p=a%20%2525%C3%BC/f%201.parquet', {
          stats: '{"numRecords":3}',
          deletionVector: describeDeletionVector(uuid, 1, 34, 1),
        }),
        add('./_p=b/%2B%26=.parquet'),
        add(`${store.uri}/abs%20olute.parquet`),
      ])
      .commit()
    expect((await vacuum(table)).files.toSorted()).toEqual(stray)
    expect(await pathsOf(store)).toEqual(files.toSorted())
  })

  it('follows no link out of the table, and removes the folders that it emptied', async () => {
    const store = new LocalStore(join(folder, 'links'))
    const { table } = await compacted(store, { partitionBy: ['v'] })
    const outside = join(folder, 'outside')
    await mkdir(outside)
    await writeFile(join(outside, 'precious.parquet'), 'x')
    await symlink(outside, join(folder, 'links', 'link'))
    await symlink(join(outside, 'precious.parquet'), join(folder, 'links', 'link.parquet'))
    await store.put('gone/deeper/stray.parquet', Buffer.from('x'))
    const now = Date.now()
    world.clock.advance(Math.max(0, now - world.clock.now()) + 1000 * HOUR)
    expect(await vacuum(table)).toMatchObject({ filesDeleted: 7, foldersDeleted: 2 })
    expect(await readdir(outside)).toEqual(['precious.parquet'])
    expect((await readdir(join(folder, 'links'))).toSorted()).toEqual(['_delta_log', 'link', 'link.parquet', 'v=p0', 'v=p1'])
    await append(table, 9)
    expect(await idsOf(world.table(store))).toEqual([0, 1, 2, 3, 4, 5, 9])
  })

  it('finds in the log alone what was removed, once, when it is lite', async () => {
    const { store, table } = await compacted()
    await store.put('stray.parquet', Buffer.from('x'))
    world.clock.advance(169 * HOUR)
    expect(await vacuum(table, { mode: 'lite' })).toMatchObject({ filesDeleted: 3 })
    expect(await pathsOf(store)).toEqual([...(await liveOf(table)).map(({ file }) => file), 'stray.parquet'].toSorted())
    expect(await vacuum(table, { mode: 'lite' })).toMatchObject({ filesDeleted: 0 })
    await append(table, 6, 7)
    await compact(table, world.source)
    world.clock.advance(169 * HOUR)
    expect(await vacuum(table, { mode: 'lite' })).toMatchObject({ filesDeleted: 2 })
    expect(await idsOf(table)).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  })

  it('reaches back past checkpoints when asked to keep more than the table does', async () => {
    const { store, table } = await compacted(memory(), {
      properties: { 'delta.deletedFileRetentionDuration': 'interval 1 hour', 'delta.checkpointInterval': '2' },
    })
    for (let at = 0; at < 3; at++) {
      world.clock.advance(2 * HOUR)
      await append(table, 100 + at)
    }
    await table.close()
    const fresh = world.table(store)
    world.clock.advance(2 * HOUR)
    expect(await vacuum(fresh, { retentionMs: 24 * HOUR })).toMatchObject({ filesDeleted: 0 })
    expect(await idsOf(fresh, 3)).toEqual([0, 1, 2, 3, 4, 5])
    expect(await vacuum(fresh)).toMatchObject({ filesDeleted: 3 })
  })

  it('leaves every version within the retention as it was, whatever happened before', async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('append' as const), hours: fc.integer({ min: 0, max: 5 }) }),
      fc.record({ kind: fc.constant('compact' as const), hours: fc.integer({ min: 0, max: 5 }) }),
      fc.record({ kind: fc.constant('drop' as const), hours: fc.integer({ min: 0, max: 5 }) }),
      fc.record({ kind: fc.constant('bring back' as const), hours: fc.integer({ min: 0, max: 5 }) }),
    )
    const property = fc.asyncProperty(
      fc.array(step, { minLength: 3, maxLength: 12 }),
      fc.integer({ min: 0, max: 20 }),
      fc.constantFrom('full' as const, 'lite' as const),
      async (steps, hours, mode) => {
        const store = memory()
        const table = world.table(store)
        await createTable(table, { properties: { 'delta.checkpointInterval': '4' } })
        const times = [world.clock.now()]
        const rows = [await idsOf(table)]
        for (const [at, { kind, hours: wait }] of steps.entries()) {
          world.clock.advance(wait * HOUR + 1000)
          const live = await liveOf(table)
          if (kind === 'append') await append(table, at * 2, at * 2 + 1)
          if (kind === 'compact') await compact(table, world.source)
          if (kind === 'drop' && live[0])
            await (await table.transaction()).remove([tombstoneOf(live[0], world.clock.now(), true)]).commit()
          if (kind === 'bring back') {
            const gone = (await table.commitIfKept(Math.min(1, rows.length - 1)))?.adds[0]
            if (gone && !live.some(({ path }) => path === gone.path)) await (await table.transaction()).add([gone]).commit()
          }
          const { version } = await table.snapshot()
          if (version < rows.length) continue
          rows.push(await idsOf(table))
          times.push(world.clock.now())
        }
        world.clock.advance(HOUR)
        await table.close()
        const fresh = world.table(store)
        const cutoff = world.clock.now() - hours * HOUR
        await vacuum(fresh, { mode, retentionMs: hours * HOUR, force: true })
        const oldest = Math.max(
          0,
          times.findLastIndex((time) => time <= cutoff),
        )
        for (let version = oldest; version < rows.length; version++) expect(await idsOf(fresh, version)).toEqual(rows[version])
        await fresh.close()
      },
    )
    await fc.assert(property, { numRuns: 25 })
  }, 120_000)

  it('beside writers loses nothing of theirs', async () => {
    const { store, table } = await compacted()
    world.clock.advance(169 * HOUR)
    const others = [world.table(store), world.table(store)]
    const work = others.map(async (other, nth) => {
      for (let at = 0; at < 4; at++) {
        await append(other, 100 * (nth + 1) + at)
        if (nth === 1) await compact(other, world.source)
      }
    })
    await Promise.all([...work, vacuum(table), vacuum(world.table(store), { mode: 'lite' })])
    const expected = [0, 1, 2, 3, 4, 5, 100, 101, 102, 103, 200, 201, 202, 203]
    expect(await idsOf(world.table(store))).toEqual(expected)
  })

  it('that fails at any call of the store leaves the table readable, and may be run again', async () => {
    const { store } = await compacted()
    await store.put('stray.parquet', Buffer.from('x'))
    world.clock.advance(169 * HOUR)
    const copy = async () => {
      const to = memory()
      for await (const { path } of store.list('')) await to.put(path, (await store.get(path)) ?? new Uint8Array())
      world.clock.advance(HOUR)
      return to
    }
    const run = async (inner: MemoryStore, faults: ReturnType<typeof everyFault> = []) => {
      const faulty = new FaultyStore(inner, faults)
      const outcome = await vacuum(world.table(faulty), { retentionMs: 0, force: true }).then(
        () => 'done',
        () => 'failed',
      )
      return { journal: faulty.journal, outcome }
    }
    const { journal } = await run(await copy())
    for (const fault of everyFault(journal, ['get', 'head', 'list', 'put', 'put-if-absent', 'delete', 'remove-folders'])) {
      for (const crash of [false, true]) {
        const inner = await copy()
        await run(inner, [{ ...fault, crash }])
        expect(await idsOf(world.table(inner))).toEqual([0, 1, 2, 3, 4, 5])
        expect((await run(inner)).outcome).toBe('done')
        expect(await pathsOf(inner)).toHaveLength(1)
        expect(await idsOf(world.table(inner))).toEqual([0, 1, 2, 3, 4, 5])
      }
    }
  }, 60_000)
})
