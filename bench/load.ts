import { inChild } from './child.js'

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
  return await inChild<Load>('client.js', {
    urls: Array.from({ length: requests }, (_, n) => urlOf(n)),
    clients: CLIENTS,
  } satisfies Asked)
}

/** One GET in another process, whose answer it throws away. */
export async function drain(url: string): Promise<Load> {
  return await inChild<Load>('client.js', { urls: [url], clients: 1 } satisfies Asked)
}
