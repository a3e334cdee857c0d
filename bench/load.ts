import { Agent, request } from 'node:http'
import { seconds } from './report.js'

export const CLIENTS = 16
export const POINT_REQUESTS = 2000

/** GET by several clients at once, each with a connection of its own that it keeps. */
export async function load(
  urlOf: (n: number) => string,
): Promise<{ readonly requestsPerSecond: number; readonly p50Ms: number }> {
  const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS })
  const times: number[] = []
  let next = 0
  const client = async () => {
    while (next < POINT_REQUESTS) {
      const n = next++
      times.push(await seconds(() => get(urlOf(n), agent)))
    }
  }
  const elapsed = await seconds(() => Promise.all(Array.from({ length: CLIENTS }, client)))
  agent.destroy()
  const p50 = times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] ?? Number.NaN
  return { requestsPerSecond: POINT_REQUESTS / elapsed, p50Ms: p50 * 1000 }
}

async function get(url: string, agent: Agent): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const sent = request(url, { agent }, (response) => {
      if (response.statusCode !== 200) reject(new Error(`${url}: ${response.statusCode}`))
      response.resume().on('end', resolve)
    })
    sent.on('error', reject).end()
  })
}
