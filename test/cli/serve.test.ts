import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { useCli } from './cli.js'

const cli = useCli()

async function serve(words: readonly string[] = [], env: Readonly<Record<string, string>> = {}) {
  const running = cli.start(['serve', '--port', '0', ...words], { env })
  const [, url = ''] = await running.says(/ at (http:\/\/\S+);/)
  return { running, url }
}

describe('serve', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)('serves until %s, then drains and ends with 0', async (signal) => {
    const { running, url } = await serve()
    expect((await fetch(`${url}/healthz`)).status).toBe(200)
    const slow = fetch(`${url}/v1/sql`, {
      method: 'POST',
      headers: { 'content-type': 'text/plain', accept: 'text/csv' },
      body: 'SELECT count(*) AS n FROM range(30000) a, range(30000) b WHERE (a.range * b.range) % 7 = 3',
    })
    await sleep(300)
    running.process.kill(signal)
    expect(await (await slow).text()).toMatch(/^n\n\d+\n$/)
    expect(await running.ended).toMatchObject({ code: 0, stdout: '', stderr: expect.stringContaining('finishing what runs') })
  })

  it('ends at once when asked twice', async () => {
    const { running, url } = await serve()
    const slow = fetch(`${url}/v1/sql`, {
      method: 'POST',
      headers: { 'content-type': 'text/plain' },
      body: 'SELECT count(*) FROM range(4000000) a, range(4000000) b WHERE (a.range * b.range) % 7 = 3',
    }).catch(() => 'cut')
    await sleep(500)
    running.process.kill('SIGINT')
    await running.says(/finishing what runs/)
    running.process.kill('SIGINT')
    expect([(await running.ended).signal, await slow]).toEqual(['SIGINT', 'cut'])
  })

  it('prints its limits, which settings change', async () => {
    const { running, url } = await serve(['--query-timeout', '200ms'], { DELTAIC_QUERIES_MAX: '3', DELTAIC_BODY_LIMIT: '1MB' })
    await running.says(/limits: 1 MB a request, 3 queries at once and 32 waiting, 200 ms a query, /)
    const body = 'SELECT count(*) FROM range(4000000) a, range(4000000) b WHERE (a.range * b.range) % 7 = 3'
    const answer = await fetch(`${url}/v1/sql`, { method: 'POST', headers: { 'content-type': 'text/plain' }, body })
    expect([answer.status, await answer.json()]).toMatchObject([504, { code: 'QUERY_TIMEOUT' }])
    running.process.kill('SIGINT')
    expect((await running.ended).code).toBe(0)
  })

  it('answers short questions while as many long queries run as may', async () => {
    const { running, url } = await serve(['--query-timeout', '120s'])
    const ask = async (body: string, signal?: AbortSignal) =>
      await fetch(`${url}/v1/sql?format=csv`, {
        method: 'POST',
        headers: { 'content-type': 'text/plain' },
        body,
        signal: signal ?? null,
      })
    await (await ask('CREATE TABLE t (id INT); INSERT INTO t SELECT range FROM range(1000)')).text()
    const stop = new AbortController()
    let ended = 0
    const heavy = Array.from({ length: 8 }, async (_, n) => {
      const body = `SELECT count(*) FROM range(4000000) a, range(4000000) b WHERE (a.range * b.range) % ${n + 7} = 3`
      await ask(body, stop.signal).catch(() => undefined)
      ended++
    })
    // Once a query that changes something has to wait, all slots are taken.
    for (let isFull = false; !isFull; ) {
      const waits = AbortSignal.timeout(1000)
      isFull = await ask('INSERT INTO t VALUES (-1)', waits).then(
        async (answer) => void (await answer.text()) === null,
        () => true,
      )
    }
    for (let round = 0; round < 20; round++) {
      expect((await fetch(`${url}/healthz`)).status).toBe(200)
      expect(await (await ask(`SELECT id FROM t WHERE id = ${round}`)).text()).toBe(`id\n${round}\n`)
    }
    expect(ended).toBe(0)
    stop.abort()
    await Promise.all(heavy)
    running.process.kill('SIGINT')
    expect((await running.ended).code).toBe(0)
  })

  it('asks for the token that it was given', async () => {
    const { running, url } = await serve(['--log'], { DELTAIC_TOKEN: 'secret' })
    expect((await fetch(`${url}/v1/tables`)).status).toBe(401)
    expect((await fetch(`${url}/v1/tables`, { headers: { authorization: 'Bearer secret' } })).status).toBe(200)
    running.process.kill('SIGINT')
    const { stderr } = await running.ended
    expect(stderr).not.toContain('secret')
    expect(stderr).toContain('"status":401')
  })

  it('does not open itself to others without a token', async () => {
    expect(await cli.run(['serve', '--host', '0.0.0.0', '--port', '0'])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/token/),
    })
  })

  it('names a port that is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as AddressInfo
    for (const command of ['serve', 'demo']) {
      const { code, stderr } = await cli.run([command, '--port', String(port)])
      expect([code, stderr]).toEqual([
        1,
        `error: port ${port} of 127.0.0.1 is taken\nhint: stop who holds it, or take another: --port ${port + 1}, or DELTAIC_PORT=${port + 1}\n`,
      ])
    }
    other.close()
  })
})
