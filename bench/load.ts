import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

export const CLIENTS = 16
export const POINT_REQUESTS = 2000

export interface Asked {
  readonly urls: readonly string[]
  readonly clients: number
}

export interface Load {
  readonly seconds: number
  readonly requestsPerSecond: number
  readonly p50Ms: number
}

/** GET by several clients at once in another process, each with a connection of its own that it keeps. */
export async function load(urlOf: (n: number) => string, requests = POINT_REQUESTS): Promise<Load> {
  return await inClient({ urls: Array.from({ length: requests }, (_, n) => urlOf(n)), clients: CLIENTS })
}

/** One GET in another process, whose answer it throws away. */
export async function drain(url: string): Promise<Load> {
  return await inClient({ urls: [url], clients: 1 })
}

async function inClient(asked: Asked): Promise<Load> {
  const client = fork(fileURLToPath(new URL('client.js', import.meta.url)))
  client.send(asked)
  const answer = await Promise.race([
    once(client, 'message'),
    once(client, 'exit').then(([code]) => {
      throw new Error(`the client ended with ${String(code)}`)
    }),
  ])
  return answer[0] as Load
}
