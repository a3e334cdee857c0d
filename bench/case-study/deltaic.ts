import { mkdirSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ViewPost } from '../../data/case-stream.js'
import { DELTAIC_VERSION } from '../../src/index.js'
import type { Contestant, Pollution } from './contestant.js'
import { folderBytes, freePort, Service } from './service.js'

const TABLE = `CREATE TABLE page_views (viewed_at TIMESTAMP, url STRING) TBLPROPERTIES ('delta.enableRowTracking' = 'true',
  'delta.enableDeletionVectors' = 'true', 'deltaic.ingest.provenance' = 'producer, sequence')`
const VIEW = `CREATE MATERIALIZED VIEW url_views CLUSTER BY (url)
  TBLPROPERTIES ('deltaic.view.asOf' = 'viewed_at', 'deltaic.view.bucket' = '1 hour')
  AS SELECT url, count(*) AS views FROM page_views GROUP BY url`

/** deltaic as people run it: the server, which takes posts and answers; a table, and one definition of the answer. */
export class Deltaic implements Contestant {
  readonly name = 'deltaic'
  readonly title = 'deltaic'
  readonly processes = ['deltaic serve']
  readonly file = 'deltaic.ts'
  readonly upkeepIs = 'compaction and refresh'
  private folder = ''
  private server: Service | undefined
  private port = 0
  private readonly agent = new Agent({ keepAlive: true })
  /** Of each producer, the version that each of its posts came with. */
  private readonly versions = new Map<string, number[]>()

  lacks(): undefined {
    return undefined
  }

  version(): string {
    return `deltaic ${DELTAIC_VERSION}`
  }

  async open(folder: string): Promise<void> {
    this.folder = join(folder, 'lake')
    mkdirSync(this.folder)
    this.port = await freePort()
    const main = fileURLToPath(new URL('../../cli/main.cjs', import.meta.url))
    const words = [main, '--root', this.folder, 'serve', '--port', String(this.port)]
    this.server = new Service(process.execPath, words, join(folder, 'log'), async () => await this.call('GET', '/healthz'))
    await this.server.start()
    await this.sql(`${TABLE}; ${VIEW}`)
  }

  async post({ producer, sequence, ndjson }: ViewPost): Promise<void> {
    const headers = { 'content-type': 'application/x-ndjson', 'producer-id': producer, 'producer-sequence': String(sequence) }
    const ack = JSON.parse(await this.call('POST', '/v1/tables/page_views/rows', ndjson, headers)) as { version: number }
    const versions = this.versions.get(producer) ?? []
    versions[sequence] = ack.version
    this.versions.set(producer, versions)
  }

  async ask(url: string): Promise<number> {
    return viewsOf(await this.call('GET', `/v1/views/url_views/lookup?url=${encodeURIComponent(url)}`))
  }

  async askAsOf(url: string, atMs: number): Promise<number> {
    const at = new Date(atMs).toISOString()
    return viewsOf(await this.sql(`SELECT views FROM as_of('url_views', TIMESTAMP '${at}') WHERE url = '${url}'`))
  }

  async counts(): Promise<ReadonlyMap<string, number>> {
    const { rows } = JSON.parse(await this.sql('SELECT url, views FROM url_views')) as Answer
    return new Map(rows.map(({ url, views }) => [String(url), Number(views)]))
  }

  async upkeep(): Promise<void> {
    await this.call('POST', '/v1/tables/page_views/optimize')
    await this.call('POST', '/v1/views/url_views/refresh')
  }

  async crash(): Promise<void> {
    await this.server?.stop('SIGKILL')
    await this.server?.start()
  }

  /** One commit takes the copies out, with proof; the view follows. */
  async repair({ producer, sequences }: Pollution): Promise<void> {
    const versions = sequences.map((sequence) => this.versions.get(producer)?.[sequence] ?? 0)
    const where = `producer = '${producer}' AND sequence IN (${sequences.join(', ')})`
    const body = JSON.stringify({ from: Math.min(...versions), to: Math.max(...versions), where })
    const undo = await this.call('POST', '/v1/tables/page_views/undo', body, { 'content-type': 'application/json' })
    const { proof } = JSON.parse(undo) as { proof?: { holds?: boolean } }
    if (proof?.holds !== true) throw new Error(`the undo has no proof: ${undo}`)
    await this.call('POST', '/v1/views/url_views/refresh')
  }

  pids(): readonly number[] {
    return this.server?.pid === undefined ? [] : [this.server.pid]
  }

  storageBytes(): number {
    return folderBytes(this.folder)
  }

  async close(): Promise<void> {
    this.agent.destroy()
    await this.server?.stop('SIGTERM')
  }

  private async sql(text: string): Promise<string> {
    return await this.call('POST', '/v1/sql', text, { 'content-type': 'text/plain' })
  }

  private call(method: string, path: string, body?: string | Uint8Array, headers: Record<string, string> = {}): Promise<string> {
    return new Promise((resolve, reject) => {
      const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }
      const options = { agent: this.agent, host: '127.0.0.1', port: this.port, method, path, headers: { ...headers, ...length } }
      const sent = request(options, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString()
          if (response.statusCode === 200) resolve(text)
          else reject(new Error(`${method} ${path}: ${response.statusCode} ${text}`))
        })
      })
      sent.on('error', reject).end(body)
    })
  }
}

interface Answer {
  readonly rows: readonly Readonly<Record<string, unknown>>[]
}

function viewsOf(text: string): number {
  return Number((JSON.parse(text) as Answer).rows[0]?.['views'] ?? 0)
}
