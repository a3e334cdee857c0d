import { randomUUID } from 'node:crypto'
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { generatePageViews } from '../data/page-views.js'
import { startServer } from '../server/server.js'
import { openLakehouse } from '../src/index.js'
import type { BenchContext } from './context.js'
import { PRODUCERS, postAll, VIEW_COLUMNS } from './producer.js'
import { inTurn, report, seconds } from './report.js'

/** As `DELTAIC_TEST_S3` names it. */
interface Server {
  readonly name: string
  readonly endpoint: string
  readonly bucket: string
  readonly region: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly safe: boolean
}

const TITLE = 'HTTP NDJSON ingest to durable commits on S3'
const PUTS = 100
/** As large as an entry of a log. */
const OBJECT = Buffer.alloc(1024, 'x')
const PUTS_A_COMMIT_MAX = 3

/** Ingest on S3 servers that run, beside as many small objects put one after the other. */
export async function benchIngestS3(context: BenchContext): Promise<void> {
  const servers = (JSON.parse(process.env['DELTAIC_TEST_S3'] ?? '[]') as readonly Server[]).filter(({ safe }) => safe)
  if (servers.length === 0) console.log(`\n${TITLE}\n  skipped, DELTAIC_TEST_S3 names no server with conditional puts`)
  for (const server of servers)
    for (const [postRows, posts] of [
      [1000, context.rows / 2500],
      [1, context.rows / 250],
    ] as const)
      await onServer(server, postRows, Math.max(PRODUCERS, Math.ceil(posts)), context.rounds)
}

async function onServer(server: Server, postRows: number, count: number, rounds: number): Promise<void> {
  const { name, endpoint, region, bucket, accessKeyId, secretAccessKey } = server
  const credentials = { accessKeyId, secretAccessKey }
  const prefix = `bench-${randomUUID()}`
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true })
  const lake = await openLakehouse(`s3://${bucket}/${prefix}`, { s3: { endpoint, region, credentials }, locations: false })
  const app = await startServer(lake, { port: 0, maintenance: false })
  const rows = count * postRows
  const posts = [...generatePageViews({ seed: 4, rows, batchRows: postRows })].map(({ ndjson }) => ndjson)
  const [putsACommit, rowsASecond]: [number[], number[]] = [[], []]
  let round = 0
  const ours = async () => {
    const table = `views_${round++}`
    await lake.createTable(table, { columns: VIEW_COLUMNS })
    const before = { commits: lake.stats.commits, puts: lake.storageUse.requests.put }
    const took = await postAll(new URL(`${app.url}/v1/tables/${table}/rows`), posts)
    const commits = lake.stats.commits - before.commits
    putsACommit.push((lake.storageUse.requests.put - before.puts) / commits)
    rowsASecond.push(rows / took)
    return commits / took
  }
  const peer = async () => {
    const put = async (at: number) =>
      await client.send(new PutObjectCommand({ Bucket: bucket, Key: `${prefix}/put/${round}/${at}`, Body: OBJECT }))
    const took = await seconds(async () => {
      for (let at = 0; at < PUTS; at++) await put(at)
    })
    return PUTS / took
  }
  try {
    const [left, right] = await inTurn(rounds, ours, peer)
    report({
      title: `${TITLE} (${name}): ${PRODUCERS} producers, ${count.toLocaleString('en-US')} posts of ${postRows.toLocaleString('en-US')} rows`,
      unit: 'a second',
      ours: { name: 'deltaic over HTTP, commits', runs: left },
      peer: { name: 'small objects put one after the other', runs: right },
      aim: 0.33,
    })
    report({
      title: 'What each commit costs',
      unit: 'puts a commit',
      isLessBetter: true,
      ours: { name: 'deltaic', runs: putsACommit },
      peer: { name: 'a data file, an entry of the log, and now and then a checkpoint', runs: [PUTS_A_COMMIT_MAX] },
      aim: 1,
    })
    console.log(`  ${Math.round(Math.max(...rowsASecond)).toLocaleString('en-US')} rows/s at best`)
  } finally {
    await app.close()
    await lake.close()
    client.destroy()
  }
}
