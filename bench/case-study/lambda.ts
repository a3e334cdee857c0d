import { createReadStream, createWriteStream } from 'node:fs'
import { appendFile, mkdir, readdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { DuckDBInstance } from '@duckdb/node-api'
import { Redis } from 'ioredis'
import type { ViewPost } from '../../data/case-stream.js'
import { byHour, type Contestant, HOUR_MS, type Pollution, upTo } from './contestant.js'
import { folderBytes, freePort, isInstalled, Service, versionOf } from './service.js'

/** The merge at read time: batch views of the hours before the boundary, real-time views from it on. */
const MERGE = `
local now = redis.call('HMGET', 'now', 'run', 'first', 'boundary', 'last')
local run, first, boundary, last = now[1], tonumber(now[2]), tonumber(now[3]), tonumber(now[4])
local found = {}
if first then
  for hour = first, last do
    local key = (hour < boundary) and ('batch:' .. run .. ':' .. hour) or ('speed:' .. hour)
    local n = redis.call('HGET', key, ARGV[1])
    if n then found[#found + 1] = hour; found[#found + 1] = tonumber(n) end
  end
end
return found`
/** The same for all URLs: the keys to add up. */
const KEYS = MERGE.replace(/local n = [\s\S]*?tonumber\(n\) end/, 'found[#found + 1] = key')
/** Hours that stay with the speed layer, so that what is a little late is not lost. */
const GRACE_HOURS = 1

/**
 * Lambda, as textbooks draw it. A collector writes each post to the master dataset and counts it in Redis. A batch run recounts the
 * whole master dataset, and answers for the hours before a boundary; the speed layer answers for those from it on.
 */
export class Lambda implements Contestant {
  readonly name = 'lambda'
  readonly title = 'Lambda by hand'
  readonly processes = ['collector', 'redis-server', 'batch job']
  readonly file = 'lambda.ts'
  readonly upkeepIs = 'batch run and switch-over'
  private folder = ''
  private master = ''
  private server: Service | undefined
  private client: Redis | undefined
  private paths: readonly string[] = []
  private slot = 0
  private run = 0
  private readonly writing = new Set<Promise<void>>()

  lacks(): string | undefined {
    return isInstalled('redis-server') ? undefined : 'there is no redis-server: apt-get install redis-server'
  }

  version(): string {
    return `Redis ${versionOf('redis-server')}`
  }

  async open(folder: string, paths: readonly string[]): Promise<void> {
    this.folder = join(folder, 'data')
    this.master = join(this.folder, 'master')
    this.paths = paths
    await mkdir(join(this.folder, 'redis'), { recursive: true })
    await mkdir(this.master)
    const port = await freePort()
    const durable = ['--save', '', '--appendonly', 'yes', '--appendfsync', 'everysec']
    const words = ['--bind', '127.0.0.1', '--port', String(port), '--dir', join(this.folder, 'redis'), ...durable]
    const client = new Redis({ port, lazyConnect: true, retryStrategy: () => 25, maxRetriesPerRequest: 0 })
    client.on('error', () => {})
    this.client = client
    this.server = new Service('redis-server', words, join(folder, 'log'), async () => {
      if (client.status === 'wait' || client.status === 'end') await client.connect()
      await client.ping()
    })
    await this.server.start()
  }

  async post(post: ViewPost): Promise<void> {
    const views = Buffer.from(post.ndjson).toString('latin1').trimEnd().replaceAll('\n', ',')
    const line = `{"producer":"${post.producer}","sequence":${post.sequence},"views":[${views}]}\n`
    const written = appendFile(join(this.master, `${this.slot}.jsonl`), line, { flush: true })
    this.writing.add(written)
    await written.finally(() => this.writing.delete(written))
    const speed = this.redis.multi()
    const hours = byHour(post, this.paths)
    for (const [hour, counts] of hours) for (const [url, n] of counts) speed.hincrby(`speed:${hour}`, url, n)
    speed.eval(
      `local now = redis.call('HMGET', 'now', 'first', 'last')
       redis.call('HSETNX', 'now', 'boundary', 0)
       redis.call('HSET', 'now', 'first', math.min(ARGV[1], now[1] or ARGV[1]), 'last', math.max(ARGV[2], now[2] or ARGV[2]))`,
      0,
      Math.min(...hours.keys()),
      Math.max(...hours.keys()),
    )
    const replies = await speed.exec()
    for (const [error] of replies ?? [[new Error('not done')]]) if (error) throw error
  }

  async ask(url: string): Promise<number> {
    let total = 0
    for (const [, views] of await this.hours(url)) total += views
    return total
  }

  async askAsOf(url: string, atMs: number): Promise<number> {
    return upTo(await this.hours(url), atMs)
  }

  async counts(): Promise<ReadonlyMap<string, number>> {
    const counts = new Map<string, number>()
    for (const key of (await this.redis.eval(KEYS, 0)) as string[])
      for (const [url, n] of Object.entries(await this.redis.hgetall(key))) counts.set(url, (counts.get(url) ?? 0) + Number(n))
    return counts
  }

  async upkeep(): Promise<void> {
    const slots = ++this.slot
    await Promise.all(this.writing)
    const boundary = Number((await this.redis.hget('now', 'last')) ?? 0) - GRACE_HOURS
    await this.batch(slots, boundary)
  }

  async crash(): Promise<void> {
    await this.server?.stop('SIGKILL')
    await this.server?.start()
  }

  /** The raw events are there: those of the copies are taken out, and everything is counted again. */
  async repair({ producer, sequences }: Pollution): Promise<void> {
    const copies = new Set(sequences.map((sequence) => `{"producer":"${producer}","sequence":${sequence},`))
    for (const name of await readdir(this.master)) {
      const file = join(this.master, name)
      const cleaned = createWriteStream(`${file}.cleaned`)
      for await (const line of createInterface({ input: createReadStream(file) }))
        if (!copies.has(line.slice(0, line.indexOf('"views"')))) cleaned.write(`${line}\n`)
      await new Promise<void>((resolve, reject) => cleaned.on('error', reject).end(resolve))
      await rename(`${file}.cleaned`, file)
    }
    await this.upkeep()
  }

  pids(): readonly number[] {
    return this.server?.pid === undefined ? [] : [this.server.pid]
  }

  storageBytes(): number {
    return folderBytes(this.folder)
  }

  async close(): Promise<void> {
    this.client?.disconnect()
    await this.server?.stop('SIGTERM')
  }

  /** Recounts the slots before `slots`, loads the result beside the one that answers, and switches over. */
  private async batch(slots: number, boundary: number): Promise<void> {
    const run = ++this.run
    const names = (await readdir(this.master)).filter((name) => Number.parseInt(name, 10) < slots)
    if (names.length === 0) return
    const files = names.map((name) => `'${join(this.master, name)}'`)
    const instance = await DuckDBInstance.create(':memory:')
    const connection = await instance.connect()
    const types = "{producer: 'VARCHAR', sequence: 'BIGINT', views: 'STRUCT(viewed_at TIMESTAMP, url VARCHAR)[]'}"
    const result = await connection.stream(`
      SELECT view.url, (epoch_ms(view.viewed_at) // ${HOUR_MS})::INT AS hour, count(*)::INT AS n
      FROM (SELECT unnest(any_value(views)) AS view FROM read_json([${files}], format = 'newline_delimited', columns = ${types})
            GROUP BY producer, sequence)
      GROUP BY ALL`)
    for await (const rows of result.yieldRows()) {
      const load = this.redis.pipeline()
      for (const [url, hour, n] of rows) if (Number(hour) < boundary) load.hset(`batch:${run}:${hour}`, String(url), Number(n))
      for (const [error] of (await load.exec()) ?? []) if (error) throw error
    }
    connection.closeSync()
    instance.closeSync()
    await this.redis.hset('now', { run, boundary })
    for (const key of await this.redis.keys('*')) {
      const [kind, first, hour] = key.split(':')
      const isOld = kind === 'batch' ? Number(first) < run && hour !== undefined : kind === 'speed' && Number(first) < boundary
      if (isOld) await this.redis.unlink(key)
    }
  }

  private async hours(url: string): Promise<(readonly [number, number])[]> {
    const found = (await this.redis.eval(MERGE, 0, url)) as number[]
    return found.flatMap((hour, n) => (n % 2 === 0 ? [[hour, found[n + 1] as number] as const] : []))
  }

  private get redis(): Redis {
    if (!this.client) throw new Error('not open')
    return this.client
  }
}
