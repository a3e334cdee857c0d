import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, describe, it } from 'vitest'
import { seededRandom } from '../../src/base/random.js'
import { useCli } from '../cli/cli.js'
import { describeWhen } from '../support/needs.js'
import { S3_REASON, type S3TestServer, s3Environment, s3Servers, TOXIPROXY_REASON, toxiproxyUrl } from '../support/s3-servers.js'
import { Producers } from './producers.js'
import { createTable, expectAllThere, Victim, withLake } from './victim.js'

const KILLS = Number(process.env['DELTAIC_TEST_KILLS'] ?? 2)
const PRODUCERS = 4
const SECOND_MS = 1000
const timeout = 120_000 + KILLS * 30_000
const random = seededRandom(20_260_101)

const cli = useCli()

describe('a server that is killed again and again under load', () => {
  it('has every acknowledged row once, on disk', { timeout }, async () => {
    await withLake(cli.root(), {}, createTable)
    const victim = new Victim(cli, cli.root())
    await victim.start()
    const producers = new Producers(PRODUCERS, () => victim.url)
    for (let kills = 0; kills < KILLS; kills++) {
      await sleep((0.3 + random.next()) * SECOND_MS)
      await victim.killAndStart()
    }
    await sleep(SECOND_MS / 2)
    await producers.finish()
    await victim.kill()
    await withLake(cli.root(), {}, async (lake) => {
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
        await withLake(root, { s3 }, createTable)
        const { AWS_ENDPOINT_URL: _, ...env } = s3Environment(server)
        const victim = new Victim(cli, root, ['--s3-endpoint', proxy.endpoint], env)
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
        await withLake(root, { s3 }, async (lake) => {
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
