import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { RecordBatchReader, tableFromArrays, tableToIPC } from 'apache-arrow'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type AppendInput, type AppendOptions, type Lakehouse, openLakehouse } from '../../src/index.js'

let root: string
let lake: Lakehouse
let made = 0

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'deltaic-append-'))
  lake = await openLakehouse(join(root, 'lake'))
})
afterAll(async () => {
  await lake?.close()
  await rm(root, { recursive: true, force: true })
})

const ROWS = [
  { id: 1, name: 'é😀' },
  { id: 2, name: null },
]
const NDJSON = Buffer.from(ROWS.map((row) => `${JSON.stringify(row)}\n`).join(''))
const arrow = () => tableFromArrays({ id: Int32Array.from([1, 2]), name: ['é😀', null] })

async function file(name: string, bytes: Uint8Array | string): Promise<string> {
  const path = join(root, `${made++}-${name}`)
  await writeFile(path, bytes)
  return path
}
async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 5) yield bytes.subarray(at, at + 5)
}

describe('append', () => {
  it.each<[string, () => AppendInput | Promise<AppendInput>, AppendOptions?]>([
    ['a path', () => file('a.ndjson', NDJSON)],
    ['a path to something packed', () => file('a.ndjson.gz', gzipSync(NDJSON))],
    ['a path of CSV', () => file('a.csv', 'id,name\n1,é😀\n2,\n')],
    ['a path of JSON', () => file('a.json', JSON.stringify(ROWS))],
    ['a path of an Arrow stream', () => file('a.arrow', tableToIPC(arrow(), 'stream'))],
    ['bytes', () => NDJSON],
    ['bytes of a named format', () => Buffer.from('id,name\n1,é😀\n2,\n'), { format: 'csv' }],
    ['packed bytes', () => gzipSync(NDJSON), { compression: 'gzip' }],
    ['a stream of bytes', () => pieces(NDJSON)],
    ['an Arrow table', arrow],
    ['an Arrow batch', () => arrow().batches[0] as AppendInput],
    ['an Arrow reader', () => RecordBatchReader.from(tableToIPC(arrow(), 'stream'))],
    ['a query', () => ({ sql: 'SELECT 1 AS id, $n AS name UNION ALL SELECT 2, NULL', params: { n: 'é😀' } })],
  ])('takes %s', async (_, input, options) => {
    const name = `t${made++}`
    await lake.sql(`CREATE TABLE ${name} (id INT, name STRING)`)
    const result = await lake.table(name).append(await input(), options)
    expect(result).toMatchObject({ version: 1, commits: 1, rowsAdded: 2, rowsRejected: 0, filesAdded: 1, replayed: false })
    expect(await (await lake.sql(`SELECT * FROM ${name} ORDER BY id`)).rows()).toEqual(ROWS)
  })

  it('makes the table from the data when asked', async () => {
    const table = lake.table(`t${made++}`)
    await expect(table.append(NDJSON)).rejects.toMatchObject({ code: 'TABLE_NOT_FOUND' })
    await table.append(NDJSON, { create: true })
    await table.append(NDJSON, { create: true })
    expect((await table.detail()).rows).toBe(4)
  })

  it('happens once for one txn, whatever the input', async () => {
    const table = lake.table(`t${made++}`)
    await lake.createTable(table.name, {
      columns: [
        { name: 'id', type: 'INT' },
        { name: 'name', type: 'STRING' },
      ],
    })
    const txn = { appId: 'collector', version: 4 }
    const first = await table.append(NDJSON, { txn })
    for (const input of [NDJSON, arrow(), { sql: 'SELECT 9, NULL' }])
      expect(await table.append(input, { txn })).toMatchObject({ version: first.version, rowsAdded: 2, replayed: true })
    await expect(table.append(NDJSON, { txn: { ...txn, version: 3 } })).rejects.toMatchObject({ code: 'SEQUENCE_OUT_OF_ORDER' })
    expect((await table.snapshot()).version).toBe(1)
  })

  it.each<[string, () => AppendInput | Promise<AppendInput>, AppendOptions, string]>([
    ['a file that is not there', () => join(root, 'nowhere.csv'), {}, 'FILE_NOT_FOUND'],
    ['a file of an unknown kind', () => file('a.xyz', 'x'), {}, 'INPUT_FORMAT_UNKNOWN'],
    ['a broken line', () => Buffer.from('{"id":1}\n{"id":'), {}, 'ROWS_INVALID'],
    ['a wrong type', () => Buffer.from('{"id":"many"}\n'), {}, 'ROWS_INVALID'],
    ['columns the table lacks', () => tableFromArrays({ other: Int32Array.from([1]) }), {}, 'SCHEMA_MISMATCH'],
    ['bytes that are no Parquet', () => Buffer.from('no parquet'), { format: 'parquet' }, 'ROWS_INVALID'],
  ])('refuses %s and writes nothing', async (_, input, options, code) => {
    const table = lake.table(`t${made++}`)
    await lake.createTable(table.name, {
      columns: [
        { name: 'id', type: 'INT' },
        { name: 'name', type: 'STRING' },
      ],
    })
    const error: unknown = await table.append(await input(), options).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ name: 'DeltaError', kind: expect.stringMatching(/invalid|notFound/) as string })
    expect((error as { code: string }).code).toBe(code)
    expect((await table.snapshot()).version).toBe(0)
  })

  it('rejects with the reason of the signal, and nothing is written', async () => {
    const table = lake.table(`t${made++}`)
    await lake.createTable(table.name, { columns: [{ name: 'id', type: 'BIGINT' }] })
    const reason = new Error('enough')
    const controller = new AbortController()
    setTimeout(() => controller.abort(reason), 10)
    const endless = { sql: 'SELECT count(*) FROM range(1000000) a, range(1000000) b' }
    await expect(table.append(endless, { signal: controller.signal })).rejects.toBe(reason)
    await expect(table.append(Buffer.from('{"id":1}'), { signal: controller.signal })).rejects.toBe(reason)
    expect((await table.snapshot()).version).toBe(0)
  })
})
