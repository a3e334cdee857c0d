// The judges themselves: that each can be started, agrees with what the tables say of themselves, and speaks as the tests expect.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { describeWhen } from '../support/needs.js'
import { peers, readWithSpark, sharedFolder, sharedSpark, startDeltalake, startReader } from '../support/peers.js'
import { parseS3Servers, S3_REASON, s3Environment, s3Servers, TOXIPROXY_REASON, toxiproxyUrl } from '../support/s3-servers.js'

const example = join(sharedFolder, 'tables/spark-made/all-types')
const table = join(example, 'delta')
const tableReason = 'DELTAIC_SHARED holds no tables'

interface TableCase {
  readonly rows: Readonly<Record<string, number>>
  readonly digests: Readonly<Record<string, string>>
  readonly latestVersion: number
}
const expected = existsSync(table) ? (JSON.parse(readFileSync(join(example, 'case.json'), 'utf8')) as TableCase) : undefined

const base = mkdtempSync(join(tmpdir(), 'deltaic-harness-'))
afterAll(() => rmSync(base, { recursive: true, force: true }))

const safeServer = s3Servers.find((server) => server.safe)
const s3Env = safeServer ? s3Environment(safeServer) : {}
const spark = sharedSpark()

const idSchema = { type: 'struct', fields: [{ name: 'id', type: 'long', nullable: true, metadata: {} }] }

for (const engine of ['deltalake', 'duckdb'] as const) {
  describeWhen(peers.available(engine), peers.reason(engine), `${engine} as a reader`, () => {
    describeWhen(expected !== undefined, tableReason, 'of a table that Spark made', () => {
      it('sees the recorded digest at each version, and answers reads in order', async () => {
        await using reader = startReader(engine)
        const versions = Array.from({ length: (expected?.latestVersion ?? 0) + 1 }, (_, version) => version)
        const answers = await Promise.all(versions.map((version) => reader.read({ uri: table, version })))
        expect(answers.map((answer) => answer.digest)).toEqual(versions.map((version) => expected?.digests[version]))
        expect(answers.map((answer) => answer.rows)).toEqual(versions.map((version) => expected?.rows[version]))
      })

      it('answers a query over the table with its rows', async () => {
        await using reader = startReader(engine)
        const answer = await reader.read({ uri: table, sql: 'SELECT count(*) AS n FROM t', show: 1 })
        expect(answer.show).toEqual([{ n: expected?.rows[expected.latestVersion] }])
      })
    })

    it('answers a refusal as a value, and goes on', async () => {
      await using reader = startReader(engine)
      const nowhere = { uri: join(base, 'nowhere') }
      expect((await reader.read(nowhere)).error?.message).toBeTruthy()
      expect((await reader.read(nowhere)).error?.message).toBeTruthy()
    })
  })
}

describeWhen(peers.available('deltalake'), peers.reason('deltalake'), 'deltalake as a writer', () => {
  it('takes turns on one table, and answers a refusal as a value', async () => {
    await using writer = await startDeltalake(base)
    const create = await writer.run({ op: 'create', table: 'turns', schema: idSchema })
    const append = await writer.run({ op: 'append', table: 'turns', rows: [{ id: 1 }, { id: 2 }], schema: idSchema })
    const refused = await writer.run({ op: 'create', table: 'turns', schema: idSchema })
    const read = await writer.run({ op: 'read', table: 'turns' })
    expect(create).toMatchObject({ ok: true, version: 0 })
    expect(append).toMatchObject({ ok: true, version: 1 })
    expect(refused).toMatchObject({ ok: false, error: { message: expect.stringContaining('already exists') } })
    expect(read).toMatchObject({ ok: true, result: { rowCount: 2, rows: [{ id: 1 }, { id: 2 }] } })
  })
})

describeWhen(peers.available('spark'), peers.reason('spark'), 'spark', () => {
  it('writes, reads back by version, and answers a refusal as a value', { timeout: 180_000 }, async () => {
    const client = await spark()
    const uri = join(base, 'numbers')
    expect(await client.run({ sql: `CREATE TABLE delta.\`${uri}\` (id INT) USING delta` })).toMatchObject({ ok: true })
    expect(await client.run({ sql: `INSERT INTO delta.\`${uri}\` VALUES (1), (2)` })).toMatchObject({ ok: true })
    expect(await readWithSpark(client, { uri, version: 0 })).toMatchObject({ rows: 0 })
    expect(await readWithSpark(client, { uri, sql: 'SELECT sum(id) AS s FROM t', show: 1 })).toMatchObject({ show: [{ s: 3 }] })
    expect((await readWithSpark(client, { uri, version: 9 })).error?.condition).toMatch(/VERSION/)
  })

  describeWhen(expected !== undefined, tableReason, 'on a table that Spark made', () => {
    it('sees the recorded digest', { timeout: 180_000 }, async () => {
      const answer = await readWithSpark(await spark(), { uri: table })
      expect(answer.digest).toBe(expected?.digests[expected.latestVersion])
    })
  })
})

describeWhen(safeServer !== undefined, S3_REASON, 'peers on S3', () => {
  const uri = `s3://${safeServer?.bucket}/harness-${globalThis.crypto.randomUUID()}`

  describeWhen(peers.available('deltalake'), peers.reason('deltalake'), 'deltalake and duckdb', () => {
    it('write and read one table', async () => {
      await using writer = await startDeltalake(base, { env: s3Env })
      const append = await writer.run({ op: 'append', table: uri, rows: [{ id: 7 }], schema: idSchema })
      expect(append).toMatchObject({ ok: true })
      await using reader = startReader('duckdb', { env: s3Env })
      expect(await reader.read({ uri, show: 1 })).toMatchObject({ rows: 1, show: [{ id: 7 }] })
    })
  })

  describeWhen(peers.available('spark-s3a'), peers.reason('spark-s3a'), 'spark', () => {
    it('reads what it wrote', { timeout: 180_000 }, async () => {
      const client = await spark()
      const table = `${uri}-spark`
      const write = { path: table.replace('s3:', 's3a:'), sql: 'SELECT 8 AS id' }
      expect(await client.run({ write })).toMatchObject({ ok: true })
      expect(await readWithSpark(client, { uri: table, show: 1 })).toMatchObject({ rows: 1, show: [{ id: 8 }] })
    })
  })
})

describeWhen(toxiproxyUrl !== undefined, TOXIPROXY_REASON, 'toxiproxy', () => {
  it('answers on its control address', async () => {
    expect((await fetch(`${toxiproxyUrl}/proxies`)).status).toBe(200)
  })
})

describe('parseS3Servers', () => {
  it('finds none in nothing, and refuses what is no list of servers', () => {
    expect(parseS3Servers(undefined)).toEqual([])
    expect(() => parseS3Servers('{}')).toThrow('not a JSON array')
    expect(() => parseS3Servers('[{"name":"a"}]')).toThrow('endpoint is not a string')
  })
})
