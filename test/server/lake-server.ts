import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ServerOptions } from '../../server/options.js'
import { startServer } from '../../server/server.js'
import { type Lakehouse, type LakehouseOptions, openLakehouse } from '../../src/index.js'

export type Body = string | Uint8Array

export interface LakeServer extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly lake: Lakehouse
  /** Holds the lake, and whatever a test puts beside it. */
  readonly folder: string
  get(path: string, headers?: Record<string, string>): Promise<Response>
  post(path: string, body: Body, headers?: Record<string, string>): Promise<Response>
  /** Posts SQL as text. */
  sql(text: string, format?: string): Promise<Response>
  /** The rows of a query. */
  rows(text: string): Promise<Record<string, unknown>[]>
}

/** A server of its own, on a lake of its own on disk. */
export async function serveLake(options: ServerOptions = {}, lakeOptions: LakehouseOptions = {}): Promise<LakeServer> {
  const folder = await mkdtemp(join(tmpdir(), 'deltaic-server-'))
  const lake = await openLakehouse(join(folder, 'lake'), { locations: false, ...lakeOptions })
  const server = await startServer(lake, { port: 0, ...options })
  const post = (path: string, body: Body, headers: Record<string, string> = {}) =>
    fetch(server.url + path, { method: 'POST', body, headers })
  const sql = (text: string, format = 'json') => post(`/v1/sql?format=${format}`, text, { 'content-type': 'text/plain' })
  return {
    url: server.url,
    port: server.port,
    lake,
    folder,
    get: (path, headers = {}) => fetch(server.url + path, { headers }),
    post,
    sql,
    rows: async (text) => (await jsonOf<{ rows: Record<string, unknown>[] }>(await sql(text))).rows,
    [Symbol.asyncDispose]: async () => {
      await server.close()
      await lake.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** The JSON of an answer that must be 200; the problem is in the message otherwise. */
export async function jsonOf<T = Record<string, unknown>>(response: Response): Promise<T> {
  const text = await response.text()
  if (response.status !== 200) throw new Error(`${response.status}: ${text}`)
  return JSON.parse(text) as T
}

export interface ProblemBody {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly code: string
  readonly kind: string
  readonly message: string
  readonly hint?: string
  readonly details: Record<string, unknown>
}

/** The problem in an answer that must be one. */
export async function problemOf(response: Response): Promise<ProblemBody> {
  const text = await response.text()
  const type = response.headers.get('content-type')
  if (type !== 'application/problem+json') throw new Error(`${response.status} is not a problem: ${type} ${text}`)
  return JSON.parse(text) as ProblemBody
}

/** A lakehouse that answers every query as a test wants: for what a healthy engine does not do. */
export function lakeThatAnswers(sql: Lakehouse['sql']): Lakehouse {
  const idle = { close: async () => undefined } as ReturnType<Lakehouse['maintain']>
  return {
    sql,
    maintain: () => idle,
    keepViewsFresh: () => idle,
    streamDefinitions: async () => [],
    listen: () => () => undefined,
  } as Partial<Lakehouse> as Lakehouse
}

export const NDJSON = { 'content-type': 'application/x-ndjson' }
export const JSON_TYPE = { 'content-type': 'application/json' }

export function lines(rows: readonly unknown[]): string {
  return rows.map((row) => `${JSON.stringify(row)}\n`).join('')
}

/** A request whose body of NDJSON is made while it is sent. */
export function streamed(body: AsyncIterable<Uint8Array>, headers: Record<string, string> = {}): RequestInit {
  const init = { method: 'POST', headers: { ...NDJSON, ...headers }, body: ReadableStream.from(body), duplex: 'half' }
  return init as unknown as RequestInit
}
