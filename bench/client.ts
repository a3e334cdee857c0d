import { Agent, request } from 'node:http'
import type { Asked, Load } from './load.js'
import { median, seconds } from './report.js'

// A process of its own: one that it shared with the server would take the processor from it (see `load.ts`).
process.once('message', (asked: Asked) => {
  void run(asked).then((load) => {
    process.send?.(load)
    process.disconnect()
  })
})

async function run({ urls, clients }: Asked): Promise<Load> {
  const agent = new Agent({ keepAlive: true, maxSockets: clients })
  const times: number[] = []
  let next = 0
  const client = async () => {
    while (next < urls.length) {
      const url = urls[next++] as string
      times.push(await seconds(() => get(url, agent)))
    }
  }
  const taken = await seconds(() => Promise.all(Array.from({ length: clients }, client)))
  agent.destroy()
  return { seconds: taken, requestsPerSecond: urls.length / taken, p50Ms: median(times) * 1000 }
}

async function get(url: string, agent: Agent): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const sent = request(url, { agent }, (response) => {
      if (response.statusCode !== 200) reject(new Error(`${url}: ${response.statusCode}`))
      response.resume().on('end', resolve).on('error', reject)
    })
    sent.on('error', reject).end()
  })
}
