// Set up once for the whole run: Spark takes half a minute to start and to grow warm, so files take turns with it.
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type PeerClient, peers, startSpark } from './peers.js'
import { s3Environment, s3Servers } from './s3-servers.js'

/** As many as there are files at one time. */
const SPARKS_MAX = 2

/** Settings that Spark was started with, and that unsetting would not bring back. */
const STARTED_WITH: Readonly<Record<string, string>> = { 'spark.sql.session.timeZone': 'UTC' }

/** Lends a running Spark to each connection, for as long as that lasts; the next one finds the settings as they were. */
class SparkHost {
  private readonly base: string
  private readonly idle: PeerClient[] = []
  private readonly waiting: ((spark: PeerClient) => void)[] = []
  private readonly started: Promise<PeerClient>[] = []

  constructor(base: string) {
    this.base = base
  }

  async serve(socket: Socket): Promise<void> {
    const spark = await this.take()
    const settings = new Set<string>()
    for await (const line of createInterface({ input: socket.on('error', () => undefined) })) {
      const command = JSON.parse(line) as { readonly conf?: object }
      for (const key of Object.keys(command.conf ?? {})) settings.add(key)
      socket.write(`${JSON.stringify(await spark.run(command))}\n`)
    }
    const conf = Object.fromEntries([...settings].map((key) => [key, STARTED_WITH[key] ?? null]))
    if (settings.size > 0) await spark.run({ conf })
    const next = this.waiting.shift()
    if (next) next(spark)
    else this.idle.push(spark)
  }

  async close(): Promise<void> {
    for (const spark of this.started) await (await spark).close()
  }

  private async take(): Promise<PeerClient> {
    const idle = this.idle.pop()
    if (idle) return idle
    if (this.started.length >= SPARKS_MAX) return new Promise((resolve) => this.waiting.push(resolve))
    const server = s3Servers.find(({ safe }) => safe)
    const env = { PEER_SPARK_MEMORY: '2g', ...(server ? s3Environment(server) : {}) }
    const spark = startSpark(join(this.base, `warehouse-${this.started.length}`), { env })
    this.started.push(spark)
    return spark
  }
}

export default async function setup(): Promise<(() => Promise<void>) | undefined> {
  if (!peers.available('spark')) return undefined
  const base = mkdtempSync(join(tmpdir(), 'deltaic-spark-'))
  const host = new SparkHost(base)
  const server = createServer((socket) => void host.serve(socket).catch((error: Error) => socket.destroy(error)))
  const address = join(base, 'socket')
  await new Promise<void>((resolve) => server.listen(address, resolve))
  process.env['DELTAIC_TEST_SPARK'] = address
  return async () => {
    server.close()
    await host.close()
    rmSync(base, { recursive: true, force: true })
  }
}
