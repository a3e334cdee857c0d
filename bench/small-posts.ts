import { join } from 'node:path'
import fastify from 'fastify'
import { generatePageViews } from '../data/page-views.js'
import { startServer } from '../server/server.js'
import { openLakehouse } from '../src/index.js'
import type { BenchContext } from './context.js'
import { PRODUCERS, postAll, VIEW_COLUMNS } from './producer.js'
import { inTurn, report } from './report.js'

/** Posts that a connection leaves unanswered. */
const IN_FLIGHT = [1, 64] as const

/** Posts of one row, each answered when it is durable, against a server that reads the same posts and keeps nothing. */
export async function benchSmallPosts({ folder, rows, rounds }: BenchContext): Promise<void> {
  const lake = await openLakehouse(join(folder, 'small-posts'), { locations: false })
  const server = await startServer(lake, { port: 0 })
  const bare = fastify()
  bare.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  bare.post('/rows', async ({ body }) => ({ version: 0, rows: 1, rejected: 0, replayed: false, bytes: (body as Buffer).length }))
  const bareUrl = new URL(`${await bare.listen({ port: 0, host: '127.0.0.1' })}/rows`)
  let round = 0
  for (const inFlight of IN_FLIGHT) {
    const count = Math.ceil((rows * Math.min(inFlight, 8)) / 100)
    const posts = [...generatePageViews({ seed: 3, rows: count, batchRows: 1 })].map(({ ndjson }) => ndjson)
    const ours = async () => {
      const name = `views_${round++}`
      await lake.createTable(name, { columns: VIEW_COLUMNS })
      const took = await postAll(new URL(`${server.url}/v1/tables/${name}/rows`), posts, inFlight)
      const detail = await lake.table(name).detail()
      if (detail.rows !== count) throw new Error(`${detail.rows} rows of ${count} are there`)
      return count / took
    }
    const peer = async () => count / (await postAll(bareUrl, posts, inFlight))
    const [left, right] = await inTurn(rounds, ours, peer)
    report({
      title: `Posts of one row to durable commits on disk: ${PRODUCERS} producers, each with ${inFlight} in flight, ${count.toLocaleString('en-US')} posts`,
      unit: 'posts/s',
      ours: { name: 'deltaic over HTTP', runs: left },
      peer: { name: 'bare fastify, which reads them and keeps nothing', runs: right },
      aim: 0.5,
    })
  }
  await bare.close()
  await server.close()
  await lake.close()
}
