import { crc32 } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import type { RowList } from '../../src/engine/rows-parquet.js'
import { openInput } from '../../src/ingest/input.js'
import { loadInput } from '../../src/ingest/load.js'
import { compact } from '../../src/ops/optimize.js'
import type { Action, DeletionVectorDescriptor } from '../../src/protocol/actions.js'
import { deletionVectorPath, describeDeletionVector, frame } from '../../src/protocol/deletion-vector.js'
import { RowBitmap } from '../../src/protocol/row-bitmap.js'
import { MemoryStore } from '../../src/storage/memory.js'
import { DeletionVectors, type HeldRows } from '../../src/table/deletion-vectors.js'
import { tombstoneOf } from '../../src/table/tombstone.js'
import { FaultyStore } from '../support/faulty-store.js'
import { createTable, ndjson, openWorld, readRows } from '../support/world.js'

const world = await openWorld()
const UUID = 'd2c639aa-8816-431a-aaf6-d3fe2512ff61'
const FILE = deletionVectorPath('', UUID)

function vectorBytes(rows: readonly number[]): Uint8Array {
  const bitmap = new RowBitmap()
  bitmap.add(BigInt64Array.from(rows, BigInt))
  const bytes = bitmap.serialize()
  bitmap.dispose()
  return bytes
}

/** Puts a file with these vectors into the store. */
async function putVectors(store: MemoryStore, ...vectors: readonly (readonly number[])[]): Promise<DeletionVectorDescriptor[]> {
  const parts: Uint8Array[] = [Uint8Array.of(1)]
  const described: DeletionVectorDescriptor[] = []
  for (const rows of vectors) {
    const bytes = vectorBytes(rows)
    described.push(describeDeletionVector(UUID, Buffer.concat(parts).length, bytes.length, rows.length))
    parts.push(frame(bytes, crc32))
  }
  await store.put(FILE, Buffer.concat(parts))
  return described
}

async function rowsIn({ path, list }: RowList): Promise<number[]> {
  const rows = await world.database.rows<{ row: bigint }>(`SELECT "row" FROM read_parquet('${path}') WHERE list = ${list}`)
  return rows.map(({ row }) => Number(row))
}

describe('deletion vectors', () => {
  it('become files of rows, those of one file in one request, which all who ask share', async () => {
    const store = new MemoryStore()
    const described = await putVectors(store, [1, 5], [7], [0, 2, 4])
    const journal = new FaultyStore(store)
    const vectors = new DeletionVectors(world.spool)
    const [some, others] = await Promise.all([vectors.open(journal, described), vectors.open(journal, described.slice(1))])
    expect(await Promise.all(some.map(rowsIn))).toEqual([[1, 5], [7], [0, 2, 4]])
    expect(others.map(({ list }) => list)).toEqual(some.slice(1).map(({ list }) => list))
    expect(new Set(some.map(({ path }) => path)).size).toBe(1)
    expect(journal.journal).toEqual([`get ${FILE}`])
  })

  it('go when nobody holds them and they are too many, and come again', async () => {
    const store = new MemoryStore()
    const [first, second] = (await putVectors(store, [1], [2])) as [DeletionVectorDescriptor, DeletionVectorDescriptor]
    const vectors = new DeletionVectors(world.spool, 1)
    const [held] = (await vectors.open(store, [first])) as [HeldRows]
    const [released] = await vectors.open(store, [second])
    expect(await rowsIn(held)).toEqual([1])
    released?.release()
    held.release()
    held.release()
    const [again] = (await vectors.open(store, [first])) as [HeldRows]
    expect(again.path).not.toBe(held.path)
    expect(await rowsIn(again)).toEqual([1])
  })

  it('come without those that cannot be read', async () => {
    const store = new MemoryStore()
    const [first, second] = (await putVectors(store, [1, 5], [2])) as [DeletionVectorDescriptor, DeletionVectorDescriptor]
    const vectors = new DeletionVectors(world.spool)
    const [damaged, sound] = await Promise.allSettled([
      vectors.open(store, [{ ...first, cardinality: 7 }, second]),
      vectors.open(store, [second]),
    ])
    expect(damaged).toMatchObject({ reason: { code: 'DELETION_VECTOR_DAMAGED' } })
    expect(await rowsIn((sound as PromiseFulfilledResult<HeldRows[]>).value[0] as HeldRows)).toEqual([2])
    expect(await Promise.all((await vectors.open(store, [first, second])).map(rowsIn))).toEqual([[1, 5], [2]])
  })

  it('are read again after a failure', async () => {
    const store = new MemoryStore()
    const described = await putVectors(store, [1])
    const faulty = new FaultyStore(store, [{ call: 'get', nth: 1, when: 'before' }])
    const vectors = new DeletionVectors(world.spool)
    await expect(vectors.open(faulty, described)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    expect(await vectors.open(faulty, described)).toHaveLength(1)
  })

  it.each<[string, (store: MemoryStore, vector: DeletionVectorDescriptor) => Promise<DeletionVectorDescriptor>, string]>([
    ['is gone', async (store, vector) => store.delete([FILE]).then(() => vector), 'DATA_FILE_MISSING'],
    ['is of another version', async (store, vector) => change(store, 0).then(() => vector), 'DELETION_VECTOR_DAMAGED'],
    ['is damaged', async (store, vector) => change(store, 20).then(() => vector), 'DELETION_VECTOR_DAMAGED'],
    ['holds another number of rows', async (_, vector) => ({ ...vector, cardinality: 7 }), 'DELETION_VECTOR_DAMAGED'],
    ['is shorter than the log says', async (_, vector) => ({ ...vector, sizeInBytes: 4000 }), 'DELETION_VECTOR_DAMAGED'],
    ['begins elsewhere', async (_, vector) => ({ ...vector, offset: 2 }), 'DELETION_VECTOR_DAMAGED'],
  ])('name the file that %s', async (_, damage, code) => {
    const store = new MemoryStore()
    const [vector] = await putVectors(store, [1, 2])
    const damaged = await damage(store, vector as DeletionVectorDescriptor)
    const opening = new DeletionVectors(world.spool).open(store, [damaged])
    await expect(opening).rejects.toMatchObject({ code, details: { file: `${store.uri}/${FILE}` } })
  })
})

async function change(store: MemoryStore, at: number): Promise<void> {
  const bytes = (await store.get(FILE)) ?? new Uint8Array()
  await store.put(
    FILE,
    bytes.map((byte, place) => (place === at ? byte ^ 1 : byte)),
  )
}

describe('a table with deletion vectors', () => {
  /** Two files of three rows, of which the first has lost its first and last. */
  async function tableWithVector() {
    const store = new MemoryStore()
    const table = world.table(store)
    await createTable(table)
    for (const ids of [
      [1, 2, 3],
      [4, 5, 6],
    ]) {
      const path = world.spool.file('ndjson')
      await world.spool.write(path, ndjson(...ids.map((id) => ({ id, v: 'v' }))))
      await world.database.use(async (connection) =>
        loadInput(table, await openInput(connection, world.spool, 'ndjson', path), {
          onError: 'fail',
          keepRejects: async () => {},
        }),
      )
    }
    const before = await table.snapshot()
    const { files } = await before.files()
    const [file] = files
    const [vector] = await putVectors(store, [0, 2])
    if (!file || !vector) throw new Error('no file')
    const swap: Action[] = [
      { commitInfo: { operation: 'DELETE' } },
      {
        add: {
          path: file.path,
          partitionValues: {},
          size: file.sizeBytes,
          modificationTime: 1,
          dataChange: true,
          stats: file.stats,
          deletionVector: vector,
        },
      },
      { remove: tombstoneOf(file, 1, true) },
    ]
    expect(await table.publish(before.version + 1, swap)).toBe('committed')
    return { store, table, version: before.version + 1 }
  }

  it('gives and counts the rows that are left, at every version', async () => {
    const { store, table, version } = await tableWithVector()
    for (const reader of [table, world.table(store)]) {
      expect((await readRows(world, reader)).map(({ id }) => id).toSorted()).toEqual([2, 4, 5, 6])
      expect((await readRows(world, reader, version - 1)).length).toBe(6)
      const snapshot = await reader.snapshot()
      expect(await snapshot.totals()).toMatchObject({ files: 2, rows: 4 })
      expect((await snapshot.files()).files.map((file) => [file.rows, file.physicalRows])).toEqual(
        expect.arrayContaining([
          [1, 3],
          [3, 3],
        ]),
      )
    }
  })

  it('is compacted without its deleted rows, and its tombstones name the vector', async () => {
    const { store, table } = await tableWithVector()
    const [rows, { files }] = [await readRows(world, table), await (await table.snapshot()).files()]
    const done = await compact(table, world.source)
    expect(done).toMatchObject({ filesAdded: 1, filesRemoved: 2 })
    for (const reader of [table, world.table(store)]) {
      expect(await readRows(world, reader)).toEqual(expect.arrayContaining(rows))
      expect(await (await reader.snapshot()).totals()).toMatchObject({ files: 1, rows: 4 })
    }
    const [commit] = await table.commitsBetween(done.version, done.version)
    const vectors = files.map(({ deletionVector }) => deletionVector)
    expect(commit?.removes.map(({ deletionVector }) => deletionVector)).toEqual(vectors)
  })
})
