import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { startServer } from '../../server/server.js'
import type { QueryResult } from '../../src/index.js'
import { lakeThatAnswers, serveLake } from './lake-server.js'

const CHUNK = Buffer.alloc(64 * 1024, '.')
const MIB = 2 ** 20

describe('a large answer to a slow reader', () => {
  it.each(['ndjson', 'csv', 'arrow', 'parquet', 'json'])('is made no faster than it is read (%s)', async (format) => {
    let made = 0
    const result: Partial<QueryResult> = {
      columns: [],
      versions: {},
      views: [],
      bytes: async function* () {
        for (let left = 10 * 2 ** 30; left > 0; left -= CHUNK.length) {
          made += CHUNK.length
          yield CHUNK
        }
      },
      close: async () => {},
    }
    const server = await startServer(
      lakeThatAnswers(async () => result as QueryResult),
      { port: 0 },
    )
    const socket = connect(server.port, '127.0.0.1')
    let read = 0
    let ahead = 0
    socket.on('data', (bytes) => {
      read += bytes.length
      ahead = Math.max(ahead, made - read)
    })
    socket.write(`GET /v1/sql?q=SELECT&format=${format} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
    for (let pause = 0; pause < 5; pause++) {
      const before = read
      while (read < before + 4 * MIB) await sleep(1)
      socket.pause()
      // Until nothing more goes into the buffers of the connection.
      for (let last = -1; last !== made; await sleep(20)) last = made
      ahead = Math.max(ahead, made - read)
      socket.resume()
    }
    socket.destroy()
    await server.close()
    // What the two sockets hold is the system's: a few MiB.
    expect(ahead).toBeLessThan(24 * MIB)
    expect(made).toBeGreaterThan(20 * MIB)
  })

  it('holds no memory for what waits', async () => {
    await using at = await serveLake()
    const response = await at.sql("SELECT range AS n, repeat('x', 1000) AS t FROM range(400000)", 'arrow')
    const reader = response.body?.getReader()
    await reader?.read()
    await sleep(300)
    const held = () => process.memoryUsage().external + process.memoryUsage().arrayBuffers
    const before = held()
    await sleep(500)
    expect(held() - before).toBeLessThan(100 * MIB)
    await reader?.cancel()
  })
})

describe('an answer past its limits', () => {
  it.each(['json', 'ndjson', 'csv', 'parquet', 'arrow'])('of rows is refused (%s)', async (format) => {
    await using at = await serveLake({ limits: { answerRowsMax: 1000 } })
    expect((await at.sql('SELECT * FROM range(1000)', format)).status).toBe(200)
    const refused = await at.sql('SELECT * FROM range(1001)', format)
    expect([refused.status, await refused.text()]).toEqual([507, expect.stringContaining('ANSWER_TOO_LARGE')])
  })

  it('of bytes is refused, and takes no room', async () => {
    await using at = await serveLake({ limits: { answerBytesMax: 1_000_000 } })
    const refused = await at.sql("SELECT repeat('x', 1000) AS t FROM range(100000000)", 'ndjson')
    expect([refused.status, await refused.text()]).toEqual([507, expect.stringContaining('ANSWER_TOO_LARGE')])
    expect((await at.sql("SELECT repeat('x', 1000) AS t FROM range(100)", 'ndjson')).status).toBe(200)
  })
})
