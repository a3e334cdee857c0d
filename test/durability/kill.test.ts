import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, describe, expect, it } from 'vitest'
import { seededRandom } from '../../src/base/random.js'
import { type Lakehouse, type LakehouseOptions, openLakehouse } from '../../src/index.js'
import { useCli } from '../cli/cli.js'
import { describeWhen } from '../support/needs.js'
import { S3_REASON, type S3TestServer, s3Environment, s3Servers, TOXIPROXY_REASON, toxiproxyUrl } from '../support/s3-servers.js'
import { rowsOf } from '../support/world.js'
import { Producers } from './producers.js'

const KILLS = Number(process.env['DELTAIC_TEST_KILLS'] ?? 3)
const PRODUCERS = 4
const SECOND_MS = 1000
const timeout = 120_000 + KILLS * 30_000
const PROPERTIES =
  "'deltaic.maintenance.minFiles' = '4', 'delta.checkpointInterval' = '5', 'delta.enableDeletionVectors' = 'true'"
const random = seededRandom(20_260_101)

const cli = useCli()

/** A server that is killed and started again, on a port that stays. */
class Victim {
  url = 'http://127.0.0.1:9'
  private readonly root: string
  private readonly words: readonly string[]
  private readonly env: Readonly<Record<string, string>>
  private running: ReturnType<typeof cli.start> | undefined

  constructor(root: string, words: readonly string[] = [], env: Readonly<Record<string, string>> = {}) {
    this.root = root
    this.words = words
    this.env = env
  }

  async start(): Promise<void> {
    this.running = cli.start(['serve', '--root', this.root, '--port', '0', ...this.words], { env: this.env })
    const [, url = ''] = await this.running.says(/ at (http:\/\/[^;\s]+);/)
    this.url = url
  }

  async kill(): Promise<void> {
    this.running?.process.kill('SIGKILL')
    await this.running?.ended
  }

  async killAndStart(): Promise<void> {
    await this.kill()
    await this.start()
  }
}

/** Every acknowledged row is there once, every other at most once, a batch whole or not at all; and the table is well. */
async function expectAllThere(lake: Lakehouse, producers: Producers): Promise<void> {
  expect(producers.refusals).toEqual([])
  expect(producers.acked.length).toBeGreaterThan(0)
  const found = await rowsOf(lake, 'SELECT id, count(*) AS n FROM t GROUP BY id')
  expect(found.filter(({ n }) => n !== 1)).toEqual([])
  const there = new Set(found.map(({ id }) => id as number))
  expect(producers.acked.flatMap(({ ids }) => ids).filter((id) => !there.has(id))).toEqual([])
  for (const { ids } of producers.batches) expect([0, ids.length]).toContain(ids.filter((id) => there.has(id)).length)
  expect(there.size).toBe(producers.batches.flatMap(({ ids }) => ids).filter((id) => there.has(id)).length)
  expect((await lake.table('t').fsck()).problems).toEqual([])
}

async function withTable(root: string, options: LakehouseOptions, work: (lake: Lakehouse) => Promise<unknown>): Promise<void> {
  const lake = await openLakehouse(root, options)
  try {
    await work(lake)
  } finally {
    await lake.close()
  }
}

const createTable = async (lake: Lakehouse) => lake.sql(`CREATE TABLE t (id BIGINT, v STRING) TBLPROPERTIES (${PROPERTIES})`)

describe('a server that is killed again and again under load', () => {
  it('has every acknowledged row once, on disk', { timeout }, async () => {
    await withTable(cli.root(), {}, createTable)
    const victim = new Victim(cli.root())
    await victim.start()
    const producers = new Producers(PRODUCERS, () => victim.url)
    for (let kills = 0; kills < KILLS; kills++) {
      await sleep((0.3 + random.next()) * SECOND_MS)
      await victim.killAndStart()
    }
    await sleep(SECOND_MS / 2)
    await producers.finish()
    await victim.kill()
    await withTable(cli.root(), {}, async (lake) => {
      await expectAllThere(lake, producers)
      console.log(`killed ${KILLS} times on disk: ${producers.acked.length} batches acknowledged`)
    })
  })

  const judges = s3Servers.filter(({ safe }) => safe)
  describeWhen(judges.length > 0, S3_REASON, 'on S3', () => {
    describeWhen(toxiproxyUrl !== undefined, TOXIPROXY_REASON, 'behind a proxy that cuts connections', () => {
      it.each(judges)('has every acknowledged row once, on $name', { timeout }, async (server) => {
        const proxy = await FaultProxy.before(server)
        afterAll(async () => proxy.close())
        const root = `s3://${server.bucket}/test/${randomUUID()}`
        const { endpoint, region, accessKeyId, secretAccessKey } = server
        const s3 = { endpoint, region, credentials: { accessKeyId, secretAccessKey } }
        await withTable(root, { s3 }, createTable)
        const { AWS_ENDPOINT_URL: _, ...env } = s3Environment(server)
        const victim = new Victim(root, ['--s3-endpoint', proxy.endpoint], env)
        await victim.start()
        const producers = new Producers(PRODUCERS, () => victim.url)
        for (let kills = 0; kills < Math.max(1, KILLS - 1); kills++) {
          // Requests are taken, and their answers lost: the server does not learn what it did.
          await sleep((0.5 + random.next()) * SECOND_MS)
          await proxy.cutReplies()
          await sleep(0.3 * SECOND_MS)
          await proxy.heal()
          await sleep((0.5 + random.next()) * SECOND_MS)
          // And it dies while they are.
          await proxy.cutReplies()
          await sleep(0.1 * SECOND_MS)
          await victim.kill()
          await proxy.heal()
          await victim.start()
        }
        await sleep(SECOND_MS)
        await producers.finish()
        await victim.kill()
        await withTable(root, { s3 }, async (lake) => {
          await expectAllThere(lake, producers)
          console.log(`killed and cut off on ${server.name}: ${producers.acked.length} batches acknowledged`)
        })
      })
    })
  })
})

class FaultProxy {
  readonly endpoint: string
  private readonly name: string

  private constructor(name: string, endpoint: string) {
    this.name = name
    this.endpoint = endpoint
  }

  static async before(server: S3TestServer): Promise<FaultProxy> {
    const name = `deltaic-kill-${server.name}-${randomUUID().slice(0, 8)}`
    const upstream = new URL(server.endpoint).host
    const made = await control('POST', '/proxies', { name, listen: '127.0.0.1:0', upstream, enabled: true })
    return new FaultProxy(name, `http://${String(made['listen'])}`)
  }

  async cutReplies(): Promise<void> {
    const toxic = { name: 'fault', type: 'limit_data', stream: 'downstream', attributes: { bytes: 0 } }
    await control('POST', `/proxies/${this.name}/toxics`, toxic)
  }

  async heal(): Promise<void> {
    await control('DELETE', `/proxies/${this.name}/toxics/fault`)
  }

  async close(): Promise<void> {
    await control('DELETE', `/proxies/${this.name}`)
  }
}

async function control(method: string, path: string, body?: object): Promise<Record<string, unknown>> {
  const reply = await fetch(`${toxiproxyUrl}${path}`, { method, body: body ? JSON.stringify(body) : null })
  const answer = await reply.text()
  if (!reply.ok) throw new Error(`toxiproxy: ${reply.status} ${answer}`)
  return answer === '' ? {} : (JSON.parse(answer) as Record<string, unknown>)
}
