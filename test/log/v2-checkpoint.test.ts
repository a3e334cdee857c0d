import { describe, expect, it } from 'vitest'
import { writeCheckpoint } from '../../src/log/checkpoint-write.js'
import { TableLog } from '../../src/log/table-log.js'
import type { Action } from '../../src/protocol/actions.js'
import { commitPath, formatLogPath, LAST_CHECKPOINT_PATH, LOG_FOLDER } from '../../src/protocol/log-path.js'
import { MemoryStore } from '../../src/storage/memory.js'
import { addOf, metadata, openWorld, writeLog } from '../support/world.js'

const world = await openWorld()
const V2: Action = {
  protocol: { minReaderVersion: 3, minWriterVersion: 7, readerFeatures: ['v2Checkpoint'], writerFeatures: ['v2Checkpoint'] },
}
const uuidPath = (version: number, format: 'json' | 'parquet', uuid = '3a0d65cd-4056-49b8-937b-95f9e3ee90e5') =>
  `${LOG_FOLDER}/${formatLogPath({ kind: 'uuid-checkpoint', version, uuid, format })}`
const classicPath = (version: number) => `${LOG_FOLDER}/${formatLogPath({ kind: 'checkpoint', version })}`

const ADD = '{path: $1, partitionValues: MAP {}, size: 10, modificationTime: 1, dataChange: false}'

/** The bytes of what `select` gives, as Parquet. */
async function parquet(select: string): Promise<Uint8Array> {
  const store = new MemoryStore()
  const file = world.spool.file('parquet')
  await world.database.rows(`COPY (${select}) TO '${file}' (FORMAT parquet)`)
  await store.putFile('it', file)
  return (await store.get('it')) ?? new Uint8Array()
}
const adds = (...paths: readonly string[]) =>
  parquet(paths.map((path) => `SELECT ${ADD.replace('$1', `'${path}'`)} AS "add"`).join(' UNION ALL '))

/** A table of four versions, the newest with files a, b and c; its commits before version 3 are gone. */
async function cleaned(): Promise<MemoryStore> {
  const store = new MemoryStore()
  await writeLog(store, [V2, metadata()], [{ add: addOf('a') }], [{ add: addOf('b') }], [{ add: addOf('c') }])
  await store.delete([0, 1, 2].map(commitPath))
  return store
}

const head = (version: number, ...sidecars: readonly string[]) => [
  { checkpointMetadata: { version, tags: { unknown: 'yes' } } },
  V2,
  metadata(),
  { txn: { appId: 'a', version: 7 } },
  { domainMetadata: { domain: 'someone.else', configuration: '{"x":1}', removed: false } },
  ...sidecars.map((path) => ({ sidecar: { path, sizeInBytes: 1, modificationTime: 1 } })),
]
const ndjson = (actions: readonly object[]) => Buffer.from(actions.map((action) => `${JSON.stringify(action)}\n`).join(''))

async function stateOf(store: MemoryStore) {
  const { deps } = world.table(store)
  const log = await TableLog.load(deps)
  const snapshot = await world.table(store).snapshot()
  const files = (await snapshot.files()).files.map(({ path }) => path).toSorted()
  const state = { files, txn: log.transaction('a')?.version, domains: [...log.domainMetadata()].map(({ domain }) => domain) }
  await log.close()
  return state
}
const whole = { files: ['a', 'b', 'c'], txn: 7, domains: ['someone.else'] }

describe('a v2 checkpoint', () => {
  it('as JSON holds its files itself', async () => {
    const store = await cleaned()
    await store.put(uuidPath(2, 'json'), ndjson([...head(2), { add: addOf('a') }, { add: addOf('b') }]))
    expect(await stateOf(store)).toEqual(whole)
  })

  it.each([
    ['plain', 'one two.parquet', 'one%20two.parquet'],
    ['absolute, as the table itself is named', 'x.parquet', '{store}/_delta_log/_sidecars/x.parquet'],
  ])('as JSON names its sidecars, decoded once: %s', async (_, name, path) => {
    const store = await cleaned()
    await store.put(`${LOG_FOLDER}/_sidecars/${name}`, await adds('a'))
    await store.put(`${LOG_FOLDER}/_sidecars/second.parquet`, await adds('b'))
    await store.put(uuidPath(2, 'json'), ndjson(head(2, path.replace('{store}', store.uri), 'second.parquet')))
    expect(await stateOf(store)).toEqual(whole)
  })

  it.each([
    ['a name of its own', uuidPath(2, 'parquet')],
    ['the classic name', classicPath(2)],
  ])('as Parquet under %s names its sidecars', async (_, path) => {
    const store = await cleaned()
    await store.put(`${LOG_FOLDER}/_sidecars/s.parquet`, await adds('a', 'b'))
    const rows = head(2, 's.parquet').map((action) => {
      const [[kind, value] = ['', {}]] = Object.entries(action)
      return `SELECT '${JSON.stringify({ [kind]: value }).replaceAll("'", "''")}'::JSON AS j`
    })
    const columns = {
      protocol:
        'STRUCT("minReaderVersion" INTEGER, "minWriterVersion" INTEGER, "readerFeatures" VARCHAR[], "writerFeatures" VARCHAR[])',
      metaData:
        'STRUCT("id" VARCHAR, "format" STRUCT("provider" VARCHAR), "schemaString" VARCHAR, "partitionColumns" VARCHAR[], "configuration" MAP(VARCHAR, VARCHAR))',
      txn: 'STRUCT("appId" VARCHAR, "version" BIGINT)',
      domainMetadata: 'STRUCT("domain" VARCHAR, "configuration" VARCHAR, "removed" BOOLEAN)',
      sidecar: 'STRUCT("path" VARCHAR, "sizeInBytes" BIGINT)',
      checkpointMetadata: 'STRUCT("version" BIGINT)',
    }
    await store.put(
      path,
      await parquet(
        `SELECT unnest(json_transform(j, '${JSON.stringify(columns).replaceAll("'", "''")}')) FROM (${rows.join(' UNION ALL ')})`,
      ),
    )
    expect(await stateOf(store)).toEqual(whole)
  })

  it('that says it is of another version than its name is damaged', async () => {
    const store = await cleaned()
    await store.put(uuidPath(2, 'json'), ndjson([...head(1), { add: addOf('a') }, { add: addOf('b') }]))
    await expect(stateOf(store)).rejects.toMatchObject({ code: 'CHECKPOINT_DAMAGED' })
  })

  it.each([
    ['gone', undefined],
    ['cut short', 20],
  ])('with a sidecar that is %s is passed over for an earlier checkpoint', async (_, length) => {
    const store = await cleaned()
    const sidecar = (await adds('a', 'b')).slice(0, length)
    await store.put(uuidPath(1, 'json'), ndjson([...head(1), { add: addOf('a') }]))
    await writeLog(store, [], [], [{ add: addOf('b') }])
    await store.delete([commitPath(0), commitPath(1)])
    if (length !== undefined) await store.put(`${LOG_FOLDER}/_sidecars/s.parquet`, sidecar)
    await store.put(uuidPath(2, 'parquet', 'x'), Buffer.from('no Parquet'))
    await store.put(uuidPath(2, 'json'), ndjson(head(2, 's.parquet')))
    expect(await stateOf(store)).toEqual(whole)
    await store.delete([uuidPath(1, 'json')])
    await expect(stateOf(store)).rejects.toMatchObject({ code: 'CHECKPOINT_DAMAGED' })
  })
})

describe('a checkpoint', () => {
  const field = (name: string, type: string, more: object = {}) => ({ name, type, nullable: true, metadata: more })
  const partitioned = (fields: readonly ReturnType<typeof field>[], configuration = {}) => ({
    metaData: {
      id: 'c0ffee00-0000-4000-8000-000000000000',
      format: { provider: 'parquet' },
      schemaString: JSON.stringify({ type: 'struct', fields: [...fields, field('v', 'long', fields[0]?.metadata && V_MAPPED)] }),
      partitionColumns: fields.map(({ name }) => name),
      configuration,
    },
  })
  const V_MAPPED = { 'delta.columnMapping.id': 9, 'delta.columnMapping.physicalName': 'col-v' }
  const filesOf = async (store: MemoryStore) => (await (await world.table(store).snapshot()).files()).files

  it.each([
    ['integer', '7::INTEGER', '7'],
    ['date', "DATE '2026-01-02'", '2026-01-02'],
    ['string', "'a \\x41 b'", 'a \\x41 b'],
    ['binary', String.raw`'\xC3\xA9\x01"'::BLOB`, 'é\u0001"'],
    ['timestamp', "TIMESTAMPTZ '2026-01-02 03:04:05.6+01'", '2026-01-02T02:04:05.600000Z'],
    ['boolean', 'true', 'true'],
  ])('may hold partition values in their types alone: %s', async (type, sql, text) => {
    const store = new MemoryStore()
    const table = partitioned([field('p', type), field('q', type)])
    await writeLog(store, [V2, table])
    const file = `{path: 'f', size: 10, modificationTime: 1, dataChange: false, "partitionValues_parsed": {q: NULLIF(${sql}, ${sql}), p: ${sql}}}`
    await store.put(`${LOG_FOLDER}/_sidecars/s.parquet`, await parquet(`SELECT ${file} AS "add"`))
    const actions = [V2, table, { sidecar: { path: 's.parquet', sizeInBytes: 1, modificationTime: 1 } }]
    await store.put(uuidPath(0, 'json'), ndjson(actions))
    expect((await filesOf(store))[0]?.partitionValues).toEqual({ p: text, q: null })
  })

  it('whose typed partition values are bytes that are no text is damaged, and fine where their text is there too', async () => {
    const store = new MemoryStore()
    const table = partitioned([field('p', 'binary')])
    await writeLog(store, [V2, table])
    const of = (more: string) =>
      parquet(
        String.raw`SELECT {path: 'f', size: 10, modificationTime: 1, dataChange: false, ${more} "partitionValues_parsed": {p: '\xFF'::BLOB}} AS "add"`,
      )
    const actions = [V2, table, { sidecar: { path: 's.parquet', sizeInBytes: 1, modificationTime: 1 } }]
    await store.put(uuidPath(0, 'json'), ndjson(actions))
    await store.put(`${LOG_FOLDER}/_sidecars/s.parquet`, await of(`"partitionValues": MAP {'p': 'x'},`))
    expect((await filesOf(store))[0]?.partitionValues).toEqual({ p: 'x' })
    await store.delete([commitPath(0)])
    await store.put(`${LOG_FOLDER}/_sidecars/s.parquet`, await of(''))
    await expect(filesOf(store)).rejects.toMatchObject({ code: 'CHECKPOINT_DAMAGED' })
  })

  it.each(['none', 'name', 'id'])('holds values in their types by the names that files use, column mapping %s', async (mode) => {
    const store = new MemoryStore()
    const column = { 'delta.columnMapping.id': 1, 'delta.columnMapping.physicalName': 'col-p' }
    const [p, v] = mode === 'none' ? ['p', 'v'] : ['col-p', 'col-v']
    const table = partitioned([field('p', 'integer', column)], {
      'delta.columnMapping.mode': mode,
      'delta.columnMapping.maxColumnId': '9',
      'delta.checkpoint.writeStatsAsJson': 'false',
      'delta.checkpoint.writeStatsAsStruct': 'true',
    })
    const protocol: Action = {
      protocol: {
        minReaderVersion: 3,
        minWriterVersion: 7,
        readerFeatures: ['columnMapping'],
        writerFeatures: ['columnMapping'],
      },
    }
    const stats = { numRecords: 3, minValues: { [v]: 1 }, maxValues: { [v]: 5 }, nullCount: { [v]: 0 } }
    const add = addOf('f', { partitionValues: { [p]: '7' }, stats: JSON.stringify(stats) })
    await writeLog(store, [protocol, table, { add }])
    const { deps } = world.table(store)
    const log = await TableLog.load(deps)
    await writeCheckpoint(deps, log, 0)
    await log.close()
    const file = world.spool.file('parquet')
    await world.spool.write(file, (await store.get(classicPath(0))) ?? new Uint8Array())
    const [row] = await world.database.rows<{ add: string }>(
      `SELECT to_json("add")::VARCHAR AS add FROM read_parquet('${file}') WHERE "add".path IS NOT NULL`,
    )
    const held = JSON.parse(row?.add ?? '{}') as object
    expect(held).toMatchObject({ partitionValues_parsed: { [p]: 7 }, stats_parsed: stats })
    expect(held).not.toHaveProperty('stats')
    await store.delete([commitPath(0)])
    const [read] = await filesOf(store)
    expect(read?.partitionValues).toEqual({ [p]: '7' })
    expect(JSON.parse(read?.stats ?? '{}')).toMatchObject(stats)
  })

  it.each([
    ['in their types', '2026-01-02', '', { numRecords: 7, maxValues: { d: '2026-01-02' } }],
    ['as text where the types may be of an older calendar', '1500-01-02', '', { numRecords: 3, maxValues: { d: '2026-01-09' } }],
    ['as text where only that tells of bounds', '2026-01-02', '"tightBounds": false,', { numRecords: 3, tightBounds: false }],
  ])('has statistics in both forms, of which are read those %s', async (_, day, more, expected) => {
    const store = new MemoryStore()
    const table = {
      metaData: { ...partitioned([]).metaData, schemaString: JSON.stringify({ type: 'struct', fields: [field('d', 'date')] }) },
    }
    await writeLog(store, [V2, table])
    const text = `{"numRecords": 3, ${more} "minValues": {"d": "2026-01-09"}, "maxValues": {"d": "2026-01-09"}, "nullCount": {"d": 0}}`
    const typed = `{"numRecords": 7, "minValues": {d: DATE '${day}'}, "maxValues": {d: DATE '${day}'}, "nullCount": {d: 0}}`
    const file = `{path: 'f', size: 10, modificationTime: 1, dataChange: false, stats: '${text}', stats_parsed: ${typed}}`
    await store.put(`${LOG_FOLDER}/_sidecars/s.parquet`, await parquet(`SELECT ${file} AS "add"`))
    const actions = [V2, table, { sidecar: { path: 's.parquet', sizeInBytes: 1, modificationTime: 1 } }]
    await store.put(uuidPath(0, 'json'), ndjson(actions))
    const log = await TableLog.load(world.table(store).deps)
    const { name } = await log.files()
    const [row] = await world.database.rows<{ stat: string }>(`SELECT to_json(stat)::VARCHAR AS stat FROM "${name}"`)
    expect(JSON.parse(row?.stat ?? '{}')).toMatchObject(expected)
    await log.close()
  })

  it('of many files has them in several sidecars, each file once', async () => {
    const store = new MemoryStore()
    const names = Array.from({ length: 10 }, (_, at) => `f${at}`)
    const removed = names.slice(0, 3)
    await writeLog(
      store,
      [V2, metadata({ 'delta.checkpointPolicy': 'v2' }), ...names.map((name) => ({ add: addOf(name) }))],
      removed.map((path) => ({ remove: { path, dataChange: true, deletionTimestamp: 5 } })),
      [{ add: addOf('f1') }],
    )
    const { deps } = world.table(store)
    const log = await TableLog.load(deps)
    const written = await writeCheckpoint(deps, log, 0, log.head(), 4)
    await log.close()
    const pointer = JSON.parse(Buffer.from((await store.get(LAST_CHECKPOINT_PATH)) ?? []).toString()) as object
    expect(pointer).toMatchObject({ size: written.size, numOfAddFiles: 8, v2Checkpoint: { sidecarFiles: { length: 3 } } })
    const sidecars: string[] = []
    for await (const { path } of store.list(`${LOG_FOLDER}/_sidecars`)) sidecars.push(path)
    expect(sidecars).toHaveLength(3)
    await store.delete([0, 1, 2].map(commitPath))
    expect((await filesOf(store)).map(({ path }) => path).toSorted()).toEqual(['f1', ...names.slice(3)])
    const again = await TableLog.load(deps)
    const relation = await again.files()
    expect(await deps.database.rows(`SELECT path FROM "${relation.name}" WHERE added_at IS NULL ORDER BY 1`)).toEqual(
      ['f0', 'f2'].map((path) => ({ path })),
    )
    await again.close()
  })

  it('without any commit is a table', async () => {
    const store = await cleaned()
    await store.put(uuidPath(3, 'json'), ndjson([...head(3), { add: addOf('z') }]))
    await store.delete([commitPath(3)])
    expect((await stateOf(store)).files).toEqual(['z'])
  })
})

describe('a commit', () => {
  it('may be JSON that spans lines, or shares one', async () => {
    const store = new MemoryStore()
    const text = [metadata(), { add: addOf('a } { b') }].map((action) => JSON.stringify(action, null, 2)).join('')
    await writeLog(store, `${JSON.stringify(V2)}\n`, text, '{"add":{"path":"x","size":1}} {"add":{"path":"y","size":1}}\n')
    expect((await stateOf(store)).files).toEqual(['a } { b', 'x', 'y'])
  })
})

describe('compacted commits', () => {
  const commits: readonly (readonly Action[])[] = [
    [V2, metadata()],
    [{ add: addOf('a') }, { txn: { appId: 'a', version: 1 } }],
    [{ remove: { path: 'a', dataChange: true } }, { add: addOf('b') }, { txn: { appId: 'a', version: 7 } }],
    [{ domainMetadata: { domain: 'd', configuration: '', removed: true } }, { add: addOf('c') }],
    [{ add: addOf('e') }],
  ]
  const compacted = `${LOG_FOLDER}/${formatLogPath({ kind: 'compacted', version: 1, endVersion: 3 })}`
  const summary = [
    { remove: { path: 'a', dataChange: true } },
    ...[addOf('b'), addOf('c')].map((add) => ({ add })),
    { txn: { appId: 'a', version: 7 } },
    { domainMetadata: { domain: 'd', configuration: '', removed: true } },
  ]

  it('stand for their commits, which history and older versions still read', async () => {
    const store = new MemoryStore()
    await writeLog(store, ...commits)
    const before = await stateOf(store)
    await store.put(compacted, ndjson(summary))
    expect(await stateOf(store)).toEqual(before)
    const table = world.table(store)
    expect((await table.history(10)).map(({ version }) => version)).toEqual([4, 3, 2, 1, 0])
    expect((await (await table.snapshot({ version: 1 })).files()).files.map(({ path }) => path)).toEqual(['a'])
  })

  it('that are damaged are passed over for the commits', async () => {
    const store = new MemoryStore()
    await writeLog(store, ...commits)
    const before = await stateOf(store)
    await store.put(compacted, Buffer.from('{"add":'))
    expect(await stateOf(store)).toEqual(before)
  })
})
