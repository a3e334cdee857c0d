// Valid tables that few writers make: values of partitions in every spelling, columns widened at every depth, vectors in every place.
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { RoaringBitmap32 } from 'roaring-wasm'
import { afterAll, describe, expect, it } from 'vitest'
import type { Action, AddFile } from '../../src/protocol/actions.js'
import { formatCommit } from '../../src/protocol/commit-file.js'
import {
  deletionVectorPath,
  describeDeletionVector,
  frame,
  inlineDeletionVector,
  VECTOR_FILE_VERSION,
} from '../../src/protocol/deletion-vector.js'
import { commitPath } from '../../src/protocol/log-path.js'
import { type DataType, field } from '../../src/protocol/schema.js'
import { MemoryStore } from '../../src/storage/memory.js'
import { addOf, openLake, openWorld, rowsOf } from '../support/world.js'

const world = await openWorld()
const folder = await mkdtemp(join(tmpdir(), 'deltaic-odd-'))
afterAll(async () => rm(folder, { recursive: true, force: true }))

const protocol = (...features: string[]): Action => ({
  protocol: { minReaderVersion: 3, minWriterVersion: 7, readerFeatures: features, writerFeatures: features },
})
const metadata = (fields: readonly ReturnType<typeof field>[], more: object = {}): Action => ({
  metaData: {
    id: 'it',
    format: { provider: 'parquet' },
    schemaString: JSON.stringify({ type: 'struct', fields }),
    partitionColumns: [],
    configuration: {},
    ...more,
  },
})

/** Adds a file with the rows of a query to the table `t`. */
async function added(store: MemoryStore, path: string, query: string, more: Partial<AddFile> = {}): Promise<Action> {
  const file = join(folder, 'made.parquet')
  await world.database.use((connection) => connection.run(`COPY (${query}) TO '${file}' (FORMAT parquet)`))
  const bytes = await readFile(file)
  await store.put(`t/${path}`, bytes)
  return { add: addOf(path, { size: bytes.length, ...more }) }
}

const logged = (store: MemoryStore, version: number, ...actions: readonly Action[]) =>
  store.put(`t/${commitPath(version)}`, formatCommit(actions))

it('values of partitions are read in every spelling that writers give them', async () => {
  const spellings: readonly (readonly [DataType, readonly (readonly [text: string | null, value: string | null])[]])[] = [
    [
      'integer',
      [
        ['007', '7'],
        ['-5', '-5'],
        ['', null],
        [null, null],
      ],
    ],
    [
      'byte',
      [
        ['-128', '-128'],
        ['127', '127'],
        ['0', '0'],
        [null, null],
      ],
    ],
    [
      'date',
      [
        ['0001-01-01', '0001-01-01'],
        ['+10000-01-01', '10000-01-01'],
        ['1582-10-10', '1582-10-10'],
        ['', null],
      ],
    ],
    [
      'timestamp',
      [
        ['2024-01-01T10:00:00.000000Z', '2024-01-01 10:00:00+00'],
        ['2024-01-01 10:00:00', '2024-01-01 10:00:00+00'],
        ['2024-01-01T10:00:00.5+02:00', '2024-01-01 08:00:00.5+00'],
        [null, null],
      ],
    ],
    [
      'timestamp_ntz',
      [
        ['2024-01-01 10:00:00', '2024-01-01 10:00:00'],
        ['2024-01-01T10:00:00.123456', '2024-01-01 10:00:00.123456'],
        ['', null],
        [null, null],
      ],
    ],
    [
      'decimal(10,2)',
      [
        ['1E+2', '100.00'],
        ['-0.01', '-0.01'],
        ['1', '1.00'],
        [null, null],
      ],
    ],
    [
      'double',
      [
        ['1.0E10', '10000000000.0'],
        ['NaN', 'nan'],
        ['-Infinity', '-inf'],
        [null, null],
      ],
    ],
    [
      'boolean',
      [
        ['true', 'true'],
        ['FALSE', 'false'],
        ['True', 'true'],
        ['', null],
      ],
    ],
    [
      'string',
      [
        ['', ''],
        ['null', 'null'],
        ['a/b=c%20 é', 'a/b=c%20 é'],
        [null, null],
      ],
    ],
  ]
  const store = new MemoryStore()
  const columns = spellings.map(([type], at) => field(`c${at}`, type))
  const adds: Action[] = []
  for (const row of [0, 1, 2, 3]) {
    const partitionValues = Object.fromEntries(spellings.map(([, values], at) => [`c${at}`, values[row]?.[0] ?? null]))
    adds.push(await added(store, `${row}.parquet`, `SELECT ${row} AS id`, { partitionValues }))
  }
  const schema = metadata([field('id', 'integer'), ...columns], { partitionColumns: columns.map(({ name }) => name) })
  await logged(store, 0, protocol('timestampNtz'), schema, ...adds)
  await using lake = await openLake(store)
  const texts = columns.map(({ name }) => `${name}::VARCHAR AS ${name}`)
  expect(await rowsOf(lake, `SELECT ${texts.join(', ')} FROM t ORDER BY id`)).toEqual(
    [0, 1, 2, 3].map((row) => Object.fromEntries(spellings.map(([, values], at) => [`c${at}`, values[row]?.[1] ?? null]))),
  )
  expect(
    await rowsOf(lake, "SELECT id FROM t WHERE c2 > '9999-12-31' OR c3 = '2024-01-01 08:00:00.5Z' OR c6 > 1e300 ORDER BY id"),
  ).toEqual([{ id: 1 }, { id: 2 }])
})

it('columns are widened at every depth, each pair of types', async () => {
  const pairs = [
    ['byte', 'short', '5::TINYINT', '300::SMALLINT'],
    ['byte', 'integer', '5::TINYINT', '70000'],
    ['short', 'long', '5::SMALLINT', '5000000000'],
    ['integer', 'long', '5', '5000000000'],
    ['float', 'double', '1.5::FLOAT', '1.1::DOUBLE'],
    ['byte', 'double', '5::TINYINT', '1.5::DOUBLE'],
    ['integer', 'double', '2147483647', '1.5::DOUBLE'],
    ['date', 'timestamp_ntz', "DATE '2024-02-29'", "TIMESTAMP '2024-02-29 12:00:00'"],
    ['decimal(5,2)', 'decimal(7,4)', '1.25::DECIMAL(5,2)', '1.2501::DECIMAL(7,4)'],
    ['decimal(9,2)', 'decimal(38,20)', '1.25::DECIMAL(9,2)', '1.26::DECIMAL(38,20)'],
    ['byte', 'decimal(10,0)', '5::TINYINT', '7::DECIMAL(10,0)'],
    ['integer', 'decimal(12,2)', '5', '7.55::DECIMAL(12,2)'],
    ['long', 'decimal(38,10)', '5::BIGINT', '7.5::DECIMAL(38,10)'],
  ] as const
  const change = (fromType: string, toType: string, ...paths: readonly (string | undefined)[]) => ({
    'delta.typeChanges': paths.map((fieldPath) => ({ fromType, toType, ...(fieldPath === undefined ? {} : { fieldPath }) })),
  })
  const fields = pairs.flatMap(([from, to], at) => [
    field(`c${at}`, to, true, change(from, to, undefined)),
    field(`l${at}`, { type: 'array', elementType: to, containsNull: true }, true, change(from, to, 'element')),
    field(`m${at}`, { type: 'map', keyType: to, valueType: to, valueContainsNull: true }, true, change(from, to, 'key', 'value')),
    field(`s${at}`, { type: 'struct', fields: [field('x', to, true, change(from, to, undefined))] }),
  ])
  const query = (nth: 2 | 3) =>
    `SELECT ${pairs.map((pair, at) => `${pair[nth]} AS c${at}, [${pair[nth]}, NULL] AS l${at}, MAP {${pair[nth]}: ${pair[nth]}} AS m${at}, {x: ${pair[nth]}} AS s${at}`).join(', ')}`
  const store = new MemoryStore()
  const files = [await added(store, 'old.parquet', query(2)), await added(store, 'new.parquet', query(3))]
  await logged(store, 0, protocol('typeWidening', 'timestampNtz'), metadata(fields), ...files)
  await using lake = await openLake(store)
  for (const [at, [, to, before, after]] of pairs.entries()) {
    const type = to === 'timestamp_ntz' ? 'TIMESTAMP' : to
    const parts = `c${at}::VARCHAR AS c, l${at}::VARCHAR AS l, m${at}::VARCHAR AS m, s${at}::VARCHAR AS s`
    const rows = [before, after].map(
      (value) =>
        `SELECT v::VARCHAR, [v, NULL]::VARCHAR, MAP {v: v}::VARCHAR, {x: v}::VARCHAR FROM (SELECT (${value})::${type} AS v)`,
    )
    const apart = `(SELECT ${parts} FROM t EXCEPT ALL (${rows.join(' UNION ALL ')}))`
    expect(await rowsOf(lake, `SELECT count(*) AS n FROM ${apart}`), to).toEqual([{ n: 0 }])
    expect(await rowsOf(lake, `SELECT count(*) AS n FROM t WHERE c${at} = ${after} AND s${at}.x = ${after}`), to).toEqual([
      { n: 1 },
    ])
  }
})

describe('deletion vectors', () => {
  const bytesOf = (...rows: readonly number[]) => {
    const bitmap = new RoaringBitmap32(rows)
    const body = bitmap.serialize('portable')
    bitmap.dispose()
    const head = Buffer.alloc(16)
    head.writeInt32LE(1681511377, 0)
    head.writeBigInt64LE(1n, 4)
    return Buffer.concat([head, body])
  }

  it('are found in the log, beside the table, in folders of their own and by absolute paths, several in one file', async () => {
    const store = new MemoryStore({ name: 'odd vectors' })
    const uuid = '11111111-2222-4333-8444-555555555555'
    const [first, second] = [bytesOf(1), bytesOf(2, 3)]
    const file = Buffer.concat([Buffer.from([VECTOR_FILE_VERSION]), frame(first, crc32), frame(second, crc32)])
    await store.put(`t/${deletionVectorPath('', uuid)}`, file)
    await store.put(`t/${deletionVectorPath('ab', uuid)}`, file)
    await store.put('t/ab/c d%/x.bin', file)
    const at = 1 + frame(first, crc32).length
    const near = describeDeletionVector(uuid, 1, first.length, 1)
    const far = {
      storageType: 'p',
      pathOrInlineDv: `${store.uri}/t/ab/c%20d%25/x.bin`,
      offset: at,
      sizeInBytes: second.length,
      cardinality: 2,
    }
    const { offset: _, ...unplaced } = near
    const vectors = [
      inlineDeletionVector(bytesOf(0, 5), 2),
      near,
      { ...near, offset: at, sizeInBytes: second.length, cardinality: 2 },
      { ...near, pathOrInlineDv: `ab${near.pathOrInlineDv}` },
      far,
      unplaced,
    ]
    const adds: Action[] = []
    for (const [nth, deletionVector] of vectors.entries()) {
      const query = `SELECT (${nth * 10} + i)::BIGINT AS id FROM range(6) t(i)`
      adds.push(await added(store, `${nth}.parquet`, query, { deletionVector, stats: '{"numRecords":6}' }))
    }
    await logged(store, 0, protocol('deletionVectors'), metadata([field('id', 'long')]), ...adds)
    await using lake = await openLake(store)
    const ids = [1, 2, 3, 4, 10, 12, 13, 14, 15, 20, 21, 24, 25, 30, 32, 33, 34, 35, 40, 41, 44, 45, 50, 52, 53, 54, 55]
    expect((await rowsOf(lake, 'SELECT id FROM t ORDER BY id')).map(({ id }) => id)).toEqual(ids)
    expect(await rowsOf(lake, 'SELECT count(*) AS n FROM t')).toEqual([{ n: ids.length }])
  })

  it('of one file are swapped under every spelling of its path', async () => {
    const store = new MemoryStore({ name: 'odd paths' })
    const file = await added(store, 'a.parquet', 'SELECT i AS id FROM range(6) t(i)', { stats: '{"numRecords":6}' })
    const add = (file as { readonly add: AddFile }).add
    const [one, two] = [inlineDeletionVector(bytesOf(1), 1), inlineDeletionVector(bytesOf(1, 2), 2)]
    const remove = (path: string, more: object = {}): Action => ({
      remove: { path, dataChange: true, deletionTimestamp: 1, ...more },
    })
    await logged(
      store,
      0,
      protocol('deletionVectors'),
      metadata([field('id', 'long')], { configuration: { 'delta.enableChangeDataFeed': 'true' } }),
      file,
    )
    await logged(store, 1, { add: { ...add, path: './a.parquet', deletionVector: one } }, remove('a.parquet'))
    const absolute = `${store.uri}/t/a.parquet`
    await logged(store, 2, remove('a.parquet', { deletionVector: one }), { add: { ...add, path: absolute, deletionVector: two } })
    await logged(store, 3, { add: { ...add, deletionVector: one } }, remove(`${store.uri}/t//a.parquet`, { deletionVector: two }))
    await using lake = await openLake(store)
    const ids = async (version: number) =>
      (await rowsOf(lake, `SELECT id FROM t VERSION AS OF ${version} ORDER BY id`)).map(({ id }) => id)
    expect(await Promise.all([1, 2, 3].map(ids))).toEqual([
      [0, 2, 3, 4, 5],
      [0, 3, 4, 5],
      [0, 2, 3, 4, 5],
    ])
    expect(
      await rowsOf(lake, `SELECT id, _change_type AS c, _commit_version AS v FROM table_changes('t', 1, 3) ORDER BY v`),
    ).toEqual([
      { id: 1, c: 'delete', v: 1 },
      { id: 2, c: 'delete', v: 2 },
      { id: 2, c: 'insert', v: 3 },
    ])
  })
})

it('partition columns are those of the schema in whatever letter case', async () => {
  const store = new MemoryStore()
  const file = await added(store, 'a.parquet', "SELECT 1 AS id, 'of the file' AS part", {
    partitionValues: { Part: 'of the log' },
  })
  await logged(
    store,
    0,
    protocol(),
    metadata([field('id', 'long'), field('Part', 'string')], { partitionColumns: ['part'] }),
    file,
  )
  await using lake = await openLake(store)
  expect(await rowsOf(lake, "SELECT * FROM t WHERE part = 'of the log'")).toEqual([{ id: 1, Part: 'of the log' }])
})

it('values of partitions may hold any character', async () => {
  const store = new MemoryStore()
  const values = ['a\0b', "it's", '\0', '\u0001\n\\'] as const
  const adds: Action[] = []
  for (const [id, value] of values.entries())
    adds.push(await added(store, `${id}.parquet`, `SELECT ${id} AS id`, { partitionValues: { text: value, bytes: value } }))
  const fields = [field('id', 'integer'), field('text', 'string'), field('bytes', 'binary')]
  await logged(store, 0, protocol(), metadata(fields, { partitionColumns: ['text', 'bytes'] }), ...adds)
  await using lake = await openLake(store)
  expect(await rowsOf(lake, 'SELECT id, text, decode(bytes) AS bytes FROM t ORDER BY id')).toEqual(
    values.map((value, id) => ({ id, text: value, bytes: value })),
  )
  await lake.sql('OPTIMIZE t')
  await lake.sql('UPDATE t SET id = 10 WHERE id = 0')
  expect(await rowsOf(lake, 'SELECT text FROM t WHERE id = 10')).toEqual([{ text: 'a\0b' }])
})

it('a value that is none of its partition column ends the reading of that column, by file and column', async () => {
  for (const [type, value] of [
    ['integer', 'abc'],
    ['byte', '300'],
    ['date', '2024-02-31'],
    ['timestamp', '1704103200000000'],
    ['decimal(5,2)', '1234.5'],
    ['boolean', 'maybe'],
    ['double', 'x'],
  ] as const) {
    const store = new MemoryStore()
    const file = await added(store, 'p=x/a b.parquet', 'SELECT 1 AS id', { partitionValues: { p: value } })
    await logged(store, 0, protocol(), metadata([field('id', 'integer'), field('p', type)], { partitionColumns: ['p'] }), file)
    await using lake = await openLake(store)
    const failure = { code: 'PARTITION_VALUE_MALFORMED', details: { file: 'p=x/a b.parquet', column: 'p', type, value } }
    await expect(rowsOf(lake, 'SELECT * FROM t')).rejects.toMatchObject(failure)
    await expect(lake.sql('DELETE FROM t WHERE id = 1 AND p IS NULL')).rejects.toMatchObject(failure)
    expect(await rowsOf(lake, 'SELECT id FROM t'), type).toEqual([{ id: 1 }])
  }
})

it('what writers leave out, and say null or otherwise than as text, has its usual meaning', async () => {
  const store = new MemoryStore()
  const file = await added(store, 'a.parquet', "SELECT 1::BIGINT AS id, {a: 1} AS s, [1] AS l, MAP {'a': 1} AS m")
  const bare = [
    { name: 'id', type: 'long', nullable: null, metadata: null },
    { name: 's', type: { type: 'struct', fields: [{ name: 'a', type: 'integer' }] } },
    { name: 'l', type: { type: 'array', elementType: 'integer' } },
    { name: 'm', type: { type: 'map', keyType: 'string', valueType: 'integer' } },
  ]
  await logged(
    store,
    0,
    { protocol: { minReaderVersion: 1, minWriterVersion: 2 } },
    metadata(bare as unknown as ReturnType<typeof field>[], {
      createdTime: 1e300,
      configuration: { 'delta.appendOnly': false, 'delta.checkpointInterval': 2, other: null },
    }),
    file,
  )
  await using lake = await openLake(store)
  await lake.sql("INSERT INTO t VALUES (2, {a: NULL}, [NULL], MAP {'a': NULL})")
  expect(await rowsOf(lake, 'SELECT id, s.a AS a, l, m FROM t ORDER BY id')).toEqual([
    { id: 1, a: 1, l: [1], m: [{ key: 'a', value: 1 }] },
    { id: 2, a: null, l: [null], m: [{ key: 'a', value: null }] },
  ])
  expect(await rowsOf(lake, 'DESCRIBE DETAIL t')).toMatchObject([{ created_at: null }])
})

it('what nobody reads is refused by its name', async () => {
  const mapped = { 'delta.columnMapping.id': 1, 'delta.columnMapping.physicalName': 'p' }
  const twins = ['a', 'b'].map((name) => field(name, 'long', true, mapped))
  const cases: readonly (readonly [string, readonly Action[]])[] = [
    ['SCHEMA_MALFORMED', [protocol('columnMapping'), metadata(twins, { configuration: { 'delta.columnMapping.mode': 'id' } })]],
    ['FEATURE_UNSUPPORTED', [protocol(), metadata([field('id', 'long')], { format: { provider: 'orc' } })]],
    ['TYPE_UNSUPPORTED', [protocol(), metadata([field('id', 'decimal(39,2)')])]],
    ['TYPE_UNSUPPORTED', [protocol(), metadata([field('id', 'interval year to month')])]],
  ]
  for (const [code, actions] of cases) {
    const store = new MemoryStore()
    await logged(store, 0, ...actions)
    await using lake = await openLake(store)
    await expect(lake.sql('SELECT * FROM t')).rejects.toMatchObject({ code })
  }
})
