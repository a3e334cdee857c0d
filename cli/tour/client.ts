import { setTimeout as sleep } from 'node:timers/promises'
import type { OptimizeResult, TableDetail } from '../../src/index.js'
import { CommandError } from '../errors.js'

/** The few requests that the tour makes, each what any HTTP client could send. */
export interface Client {
  sql<Row>(statement: string): Promise<Answer<Row>>
  /** Sends rows until they are taken: told to wait, it waits and sends the same again. */
  post(table: string, ndjson: Uint8Array, producer: string, sequence: number): Promise<Ack>
  detail(table: string): Promise<TableDetail>
  optimize(table: string): Promise<OptimizeResult>
}

export interface Answer<Row> {
  readonly rows: readonly Row[]
  readonly versions: Readonly<Record<string, number>>
}

export interface Ack {
  readonly version: number
  readonly rows: number
  readonly replayed: boolean
  /** How often the server asked to wait. */
  readonly waits: number
}

const WAITS_MAX = 20

export function connect(url: string, token: string | undefined, signal: AbortSignal): Client {
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` }
  const request = async (path: string, init: RequestInit = {}): Promise<Response> =>
    await fetch(`${url}${path}`, { ...init, signal, headers: { ...authorization, ...init.headers } })
  const json = async <T>(path: string, init?: RequestInit): Promise<T> => await bodyOf<T>(path, await request(path, init))
  return {
    sql: async (statement) =>
      await json('/v1/sql', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ statement }),
      }),
    post: async (table, ndjson, producer, sequence) => {
      const path = `/v1/tables/${table}/rows`
      const headers = { 'content-type': 'application/x-ndjson', 'producer-id': producer, 'producer-sequence': String(sequence) }
      for (let waits = 0; ; waits++) {
        const response = await request(path, { method: 'POST', headers, body: ndjson })
        if (response.status !== 429 || waits === WAITS_MAX)
          return { ...(await bodyOf<Omit<Ack, 'waits'>>(path, response)), waits }
        await response.body?.cancel()
        await sleep(1_000 * Number(response.headers.get('retry-after') ?? 1), undefined, { signal })
      }
    },
    detail: async (table) => await json(`/v1/tables/${table}`),
    optimize: async (table) => await json(`/v1/tables/${table}/optimize`, { method: 'POST' }),
  }
}

async function bodyOf<T>(path: string, response: Response): Promise<T> {
  if (response.ok) return (await response.json()) as T
  const problem = (await response.json().catch(() => ({}))) as { message?: string; hint?: string; code?: string }
  throw new CommandError(
    problem.code ?? 'HTTP_FAILED',
    `${path} answered ${response.status}: ${problem.message ?? 'no reason given'}`,
    problem.hint,
  )
}
