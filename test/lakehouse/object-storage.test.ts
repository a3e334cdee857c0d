import { randomUUID } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Database } from '../../src/engine/database.js'
import { type Lakehouse, openLakehouse } from '../../src/index.js'
import { storeOn } from '../storage/s3-store.js'
import { describeWhen } from '../support/needs.js'
import { S3_REASON, type S3TestServer, s3Servers } from '../support/s3-servers.js'

const judge = s3Servers.find(({ name, safe }) => safe && name.startsWith('versitygw')) ?? s3Servers.find(({ safe }) => safe)
const prefix = `test/${randomUUID()}`

const settingsOf = ({ endpoint, region, accessKeyId, secretAccessKey }: S3TestServer) => ({
  endpoint,
  region,
  credentials: { accessKeyId, secretAccessKey },
})
const openOn = async (server: S3TestServer): Promise<Lakehouse> =>
  await openLakehouse(`s3://${server.bucket}/${prefix}`, { s3: settingsOf(server) })

const QUERY = 'SELECT sum(a) AS a, sum(d) AS d FROM t'
const ask = async (lake: Lakehouse, query = QUERY) => await (await lake.sql(query)).rows()

describeWhen(judge !== undefined, S3_REASON, 'queries over object storage', () => {
  const server = judge as S3TestServer
  let folder: string
  /** Bytes of the chunks that the query reads, and of the footer. */
  let needed = 0

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'deltaic-s3-'))
    const lake = await openOn(server)
    await lake.sql(`CREATE TABLE t AS SELECT hash(range) AS a, hash(range + 1)::VARCHAR AS b, hash(range + 2)::VARCHAR AS c,
      hash(range + 3) AS d, hash(range + 4)::VARCHAR AS e FROM range(500000)`)
    const [file] = await (await lake.table('t').snapshot()).files()
    const local = join(folder, 'file.parquet')
    const store = storeOn(server, { prefix })
    await writeFile(local, (await store.get(`t/${file?.file}`)) ?? '')
    await store.close()
    await lake.close()
    const database = await Database.open()
    const [row] = await database.rows<{ chunks: bigint; footer: bigint }>(
      `SELECT sum(total_compressed_size) FILTER (WHERE path_in_schema IN ('a', 'd')) AS chunks,
         (SELECT footer_size FROM parquet_file_metadata('${local}')) AS footer FROM parquet_metadata('${local}')`,
    )
    database.close()
    needed = Number(row?.chunks) + Number(row?.footer)
  })
  afterAll(async () => {
    await rm(folder, { recursive: true, force: true })
  })

  it('fetch what their columns need, and nothing when it is here', async () => {
    const lake = await openOn(server)
    await lake.table('t').snapshot()
    const before = lake.storageUse
    const cold = await ask(lake)
    const after = lake.storageUse
    const fetched = after.cache.bytes
    expect(fetched).toBeGreaterThan(needed * 0.9)
    expect(fetched).toBeLessThanOrEqual(needed * 1.1)
    expect(after.tables['t']?.requests.get).toBeGreaterThan(before.tables['t']?.requests.get ?? 0)
    expect(await ask(lake)).toEqual(cold)
    const warm = lake.storageUse
    expect(warm.cache).toMatchObject({ requests: after.cache.requests, bytes: fetched })
    // Whether there is a newer version is asked each time, in one request.
    expect(warm.requests.get - after.requests.get).toBeLessThanOrEqual(1)
    expect(warm.bytesRead).toBe(after.bytesRead)
    await sleep(300)
    expect(lake.storageUse).toEqual(warm)
    await lake.close()
  })

  it('share what they fetch at once', async () => {
    const lake = await openOn(server)
    const answers = await Promise.all(Array.from({ length: 6 }, async () => await ask(lake)))
    expect(new Set(answers.map((rows) => JSON.stringify(rows, (_, value: unknown) => String(value)))).size).toBe(1)
    expect(lake.storageUse.cache.bytes).toBeLessThanOrEqual(needed * 1.1)
    await lake.close()
  })

  it('fetch a small file whole', async () => {
    const lake = await openOn(server)
    await lake.sql('CREATE TABLE small AS SELECT range AS a, range AS b FROM range(1000)')
    await ask(lake, 'SELECT sum(a) FROM small')
    await ask(lake, 'SELECT sum(b) FROM small')
    expect(lake.storageUse.cache.requests).toBe(1)
    await lake.close()
  })

  it.each([
    ['object storage', async () => await openOn(server)],
    ['a disk', async () => await openLakehouse(join(folder, 'clones'), { s3: settingsOf(server) })],
  ])('read a shallow clone on %s, and write to it', async (place, open) => {
    const [name, clone] = place === 'a disk' ? ['s1', 'c1'] : ['s2', 'c2']
    const source = await openOn(server)
    await source.sql(`CREATE TABLE ${name} (a BIGINT) TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')`)
    await source.sql(`INSERT INTO ${name} SELECT range FROM range(10)`)
    await source.sql(`DELETE FROM ${name} WHERE a < 2`)
    const lake = await open()
    await lake.sql(`CREATE TABLE ${clone} SHALLOW CLONE delta.\`s3://${server.bucket}/${prefix}/${name}\``)
    expect(await ask(lake, `SELECT sum(a)::INT AS a FROM ${clone}`)).toEqual([{ a: 44 }])
    await lake.sql(`DELETE FROM ${clone} WHERE a = 9`)
    await lake.table(clone).vacuum({ retentionMs: 0, force: true })
    expect(await ask(lake, `SELECT sum(a)::INT AS a FROM ${clone}`)).toEqual([{ a: 35 }])
    await lake.sql(`OPTIMIZE ${clone}`)
    await lake.sql(`REORG TABLE ${clone} APPLY (PURGE)`)
    await lake.table(clone).vacuum({ retentionMs: 0, force: true })
    expect(await ask(lake, `SELECT sum(a)::INT AS a FROM ${clone}`)).toEqual([{ a: 35 }])
    expect(await ask(source, `SELECT sum(a)::INT AS a FROM ${name}`)).toEqual([{ a: 44 }])
    await lake.close()
    await source.close()
  })
})

describe('a lakehouse on disk', () => {
  it('asks object storage for nothing', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'deltaic-s3-'))
    const lake = await openLakehouse(join(folder, 'lake'))
    await lake.sql('CREATE TABLE t AS SELECT 1 AS a')
    expect(lake.storageUse).toMatchObject({
      requests: { get: 0, head: 0, put: 0, list: 0, delete: 0 },
      bytesRead: 0,
      bytesWritten: 0,
      tables: { t: { requests: { get: 0 } } },
    })
    await lake.close()
    await rm(folder, { recursive: true })
  })
})
