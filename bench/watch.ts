import { Agent, type IncomingMessage, request } from 'node:http'

const WATCHERS = 1000

/** Watchers of a view's rows over HTTP, each of one key, until `close`. */
export interface Watchers {
  /** Milliseconds from when `change` resolved, which gives each of the keys another row, until each watcher had it, the shortest first. */
  change(change: () => Promise<unknown>): Promise<readonly number[]>
  close(): void
}

/** @param urlOf what the nth watcher asks for. Resolves once each has had a row. */
export async function startWatchers(urlOf: (n: number) => string): Promise<Watchers> {
  const agent = new Agent({ maxSockets: Number.POSITIVE_INFINITY })
  const heard: (() => void)[] = []
  const next = () => Promise.all(Array.from({ length: WATCHERS }, (_, n) => new Promise<void>((resolve) => (heard[n] = resolve))))
  const first = next()
  const responses = await Promise.all(Array.from({ length: WATCHERS }, (_, n) => open(urlOf(n), agent)))
  for (const [n, response] of responses.entries())
    response.setEncoding('utf8').on('data', (text: string) => {
      if (text.includes('data: ')) heard[n]?.()
    })
  await first
  return {
    change: async (change) => {
      const times: number[] = []
      const all = next()
      for (const [n, hear] of heard.entries())
        heard[n] = () => {
          times.push(performance.now())
          hear()
        }
      await change()
      const acknowledged = performance.now()
      await all
      return times.map((time) => Math.max(0, time - acknowledged)).toSorted((a, b) => a - b)
    },
    close: () => agent.destroy(),
  }
}

async function open(url: string, agent: Agent): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { agent, headers: { accept: 'text/event-stream' } }, (response) => {
      if (response.statusCode === 200) resolve(response)
      else reject(new Error(`${url}: ${response.statusCode}`))
    })
    sent.on('error', reject).end()
  })
}
