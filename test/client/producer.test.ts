import { createServer } from 'node:http'
import { type AddressInfo, connect, createServer as createProxy, type Server, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { createProducer, type ProducerOptions, seededRandom } from '../../src/index.js'
import { serveLake } from '../server/lake-server.js'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

async function listening(server: Server): Promise<string> {
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** A way to a server on which connections are cut: in the midst of a request, or of its answer when all of it was taken. */
async function cuttingProxy(port: number, seed: number): Promise<{ readonly url: string; cuts(): number }> {
  const random = seededRandom(seed)
  const sockets = new Set<Socket>()
  let cuts = 0
  const proxy = createProxy((from) => {
    const to = connect(port, '127.0.0.1')
    const cut = () => {
      cuts++
      from.destroy()
      to.destroy()
    }
    for (const socket of [from, to]) sockets.add(socket.on('error', () => {}))
    from.on('data', (bytes) => {
      if (random.next() < 0.1) {
        to.write(bytes.subarray(0, bytes.length >> 1))
        setImmediate(cut)
      } else to.write(bytes)
    })
    to.on('data', (bytes) => (random.next() < 0.3 ? cut() : from.write(bytes)))
    from.on('close', () => to.destroy())
    to.on('close', () => from.destroy())
  })
  const url = await listening(proxy)
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy()
    proxy.close()
  })
  return { url, cuts: () => cuts }
}

const quick = (options: Partial<ProducerOptions>) => ({ table: 'views', lingerMs: 1, ...options })

describe('a producer', () => {
  it('brings each row once, whichever connections are cut', async () => {
    await using at = await serveLake()
    await at.lake.sql('CREATE TABLE views (id BIGINT)')
    const { url, cuts } = await cuttingProxy(at.port, 7)
    await using producer = createProducer(
      quick({ url, batchBytes: 200, random: seededRandom(3), producerId: 'p' }) as ProducerOptions,
    )
    const acks = await Promise.all(Array.from({ length: 300 }, (_, id) => producer.send({ id })))
    expect(cuts()).toBeGreaterThan(3)
    expect(acks.some(({ replayed }) => replayed)).toBe(true)
    expect(
      await at.rows('SELECT count(*)::INTEGER AS n, count(DISTINCT id)::INTEGER AS ids, sum(id)::INTEGER AS s FROM views'),
    ).toEqual([{ n: 300, ids: 300, s: (300 * 299) / 2 }])
  })

  it('fails what was sent with a row that is refused, and nothing else', async () => {
    await using at = await serveLake()
    await at.lake.sql('CREATE TABLE views (id BIGINT)')
    await using producer = createProducer(quick({ url: at.url }) as ProducerOptions)
    const sent = await Promise.allSettled([
      producer.send({ id: 1 }),
      producer.send([{ id: 2 }, { id: 'many' }]),
      producer.send([{ id: 3 }, { id: 4 }]),
    ])
    expect(sent.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect((sent[1] as PromiseRejectedResult).reason).toMatchObject({ code: 'ROWS_INVALID', details: { status: 422 } })
    expect(await at.rows('SELECT id FROM views ORDER BY id')).toEqual([{ id: 1 }, { id: 3 }, { id: 4 }])
    await producer.close()
    await expect(producer.send({ id: 5 })).rejects.toMatchObject({ code: 'CLOSED' })
  })

  it('goes on after a restart under its name, and evolves the table where it may', async () => {
    await using at = await serveLake()
    for (const id of [1, 2]) {
      await using producer = createProducer(
        quick({ url: at.url, producerId: 'again', create: true, schema: 'evolve' }) as ProducerOptions,
      )
      expect(await producer.send({ id, [`c${id}`]: 'x' })).toMatchObject({ replayed: false })
    }
    expect(await at.rows('SELECT id, c1, c2 FROM views ORDER BY id')).toEqual([
      { id: 1, c1: 'x', c2: null },
      { id: 2, c1: null, c2: 'x' },
    ])
  })

  it('waits as long as a busy server asks it to, under the same number, and gives up in the end', async () => {
    const seen: string[] = []
    let refusals = 2
    const server = createServer((request, response) => {
      request.resume().on('end', () => {
        seen.push(String(request.headers['producer-sequence']))
        if (refusals-- > 0) response.writeHead(429, { 'retry-after': '3' }).end('{"code":"TOO_BUSY","message":"later"}')
        else response.end('{"version":5,"rows":1,"rejected":0,"replayed":false}')
      })
    })
    const url = await listening(server)
    cleanups.push(() => server.close())
    let nowMs = 1000
    const slept: number[] = []
    const clock = {
      now: () => nowMs,
      sleep: async (ms: number) => {
        nowMs += ms
        slept.push(ms)
      },
    }
    const producer = createProducer(quick({ url, clock, random: seededRandom(1), deliveryMs: 20_000 }) as ProducerOptions)
    expect(await producer.send({ id: 1 })).toMatchObject({ version: 5 })
    expect(new Set(seen).size).toBe(1)
    expect(seen).toHaveLength(3)
    const waits = slept.filter((ms) => ms > 100)
    expect(waits).toHaveLength(2)
    for (const ms of waits) expect(ms).toBeGreaterThanOrEqual(3000)
    refusals = 1000
    await expect(producer.send({ id: 2 })).rejects.toMatchObject({ code: 'TOO_BUSY' })
  })

  it('holds no more than it may', async () => {
    await using at = await serveLake()
    await at.lake.sql('CREATE TABLE views (id BIGINT, v STRING)')
    await using producer = createProducer(quick({ url: at.url, bufferBytes: 3000 }) as ProducerOptions)
    const acks: Promise<unknown>[] = []
    for (let id = 0; id < 30; id++) {
      await producer.ready()
      acks.push(producer.send({ id, v: 'x'.repeat(1000) }))
    }
    await producer.flush()
    expect(await Promise.all(acks)).toHaveLength(30)
    expect(await at.rows('SELECT count(*)::INTEGER AS n FROM views')).toEqual([{ n: 30 }])
  })
})
