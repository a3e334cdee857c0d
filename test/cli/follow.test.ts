import { randomUUID } from 'node:crypto'
import { appendFile, mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { openStore } from '../../src/storage/open.js'
import { describeWhen } from '../support/needs.js'
import { S3_REASON, s3Environment, s3Servers } from '../support/s3-servers.js'
import { useCli } from './cli.js'

const cli = useCli()
const lines = (from: number, count: number) => Array.from({ length: count }, (_, at) => `{"n":${from + at}}\n`).join('')

async function counts(table: string, env: Record<string, string> = {}): Promise<string> {
  const query = `SELECT count(*) || ' ' || count(DISTINCT n) || ' ' || coalesce(max(n), 0) FROM ${table}`
  return (await cli.run(['sql', query, '-o', 'csv'], { env })).stdout.trim().split('\n')[1] ?? ''
}

describe('ingest --follow', () => {
  it('takes each line once, however often it is killed, across rotations', async () => {
    await cli.run(['sql', 'CREATE TABLE killed (n BIGINT)'])
    const folder = join(cli.folder(), 'logs')
    await mkdir(folder)
    const file = join(folder, 'app.ndjson')
    await writeFile(file, '')
    let next = 1
    let isWriting = true
    const writing = (async () => {
      for (let round = 1; isWriting; round++) {
        await appendFile(file, lines(next, 400))
        next += 400
        if (round % 12 === 0) {
          await rename(file, `${file}.${round / 12}`)
          await writeFile(file, '')
        }
        await sleep(10)
      }
    })()
    const words = ['ingest', 'killed', '--follow', folder, '--batch-seconds', '0', '--poll', '0.01', '--batch-rows', '500']
    for (const ms of [150, 400, 700]) {
      const running = cli.start(words)
      await running.says(/following/)
      await sleep(ms)
      running.process.kill('SIGKILL')
      await running.ended
    }
    isWriting = false
    await writing
    const last = await cli.run([...words, '--once'])
    expect([last.code, last.stdout]).toEqual([0, expect.stringMatching(/rows? into killed from \d+ files?, .+\n$/)])
    expect(await counts('killed')).toBe(`${next - 1} ${next - 1} ${next - 1}`)
  })

  it('takes what it has begun when it is interrupted, and tells what it did', async () => {
    await cli.run(['sql', 'CREATE TABLE interrupted (n BIGINT)'])
    const file = join(cli.folder(), 'interrupted.ndjson')
    await writeFile(file, lines(1, 1000))
    const running = cli.start(['ingest', 'interrupted', '--follow', file, '-o', 'json'])
    await running.says(/following .*; Ctrl-C ends it/)
    for (let tries = 0; tries < 100 && (await counts('interrupted')) !== '1000 1000 1000'; tries++) await sleep(50)
    running.process.kill('SIGINT')
    const { code, stdout } = await running.ended
    expect([code, JSON.parse(stdout)]).toEqual([
      0,
      [expect.objectContaining({ table: 'interrupted', rowsAdded: 1000, files: 1 })],
    ])
  })

  it('refuses flags that do not go together, and what is not there', async () => {
    for (const words of [
      ['a.ndjson', '--follow', 'b'],
      ['--follow', 'b', '--producer', 'p'],
      ['a.ndjson', '--once'],
    ])
      expect(await cli.run(['ingest', 't', ...words])).toMatchObject({ code: 2 })
    expect(await cli.run(['ingest', 'interrupted', '--follow', 'no/such/folder'])).toMatchObject({ code: 3 })
  })
})

const [server] = s3Servers.filter(({ safe }) => safe)

describeWhen(server !== undefined, S3_REASON, 'ingest --follow s3://', () => {
  it('takes each object once, one that is written anew as another', async () => {
    if (!server) return
    const env = s3Environment(server)
    const uri = `s3://${server.bucket}/follow-${randomUUID()}`
    const store = openStore(uri, {
      s3: {
        endpoint: server.endpoint,
        region: server.region,
        forcePathStyle: true,
        credentials: { accessKeyId: server.accessKeyId, secretAccessKey: server.secretAccessKey },
      },
    })
    await cli.run(['sql', 'CREATE TABLE objects (n BIGINT)'])
    const take = async () => cli.run(['ingest', 'objects', '--follow', uri, '--once', '--s3-endpoint', server.endpoint], { env })
    await store.put('2026/a.ndjson', Buffer.from(lines(1, 10)))
    await store.put('b.csv', Buffer.from('n\n11\n12'))
    expect((await take()).stdout).toMatch(/^12 rows into objects from 2 files/)
    await store.put('c.ndjson', Buffer.from(lines(13, 1)))
    expect((await take()).stdout).toMatch(/^1 row into objects from 1 file/)
    await sleep(1100)
    await store.put('c.ndjson', Buffer.from(lines(14, 2)))
    expect((await take()).stdout).toMatch(/^2 rows into objects from 1 file/)
    expect((await take()).stdout).toMatch(/^0 rows into objects from 0 files/)
    expect(await counts('objects')).toBe('15 15 15')
    await store.close()
  })
})
