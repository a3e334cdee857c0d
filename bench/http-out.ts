import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { DuckDBInstance } from '@duckdb/node-api'
import fastify from 'fastify'
import { startServer } from '../server/server.js'
import { openLakehouse } from '../src/index.js'
import type { BenchContext } from './context.js'
import { CLIENTS, drain, load, POINT_REQUESTS } from './load.js'
import { inTurn, report, seconds } from './report.js'

/** Answers over HTTP: 5,000,000 rows in each format, and very small ones to many clients. */
export async function benchHttpOut({ folder, rows, rounds }: BenchContext): Promise<void> {
  const count = rows * 10
  const lake = await openLakehouse(join(folder, 'http-out'))
  await lake.sql(
    `CREATE TABLE views PARTITIONED BY (day) AS SELECT range AS id, 'https://example.org/' || (range % 5000) AS url, hash(range) / 1e6 AS price,
       TIMESTAMPTZ '2026-11-01 00:00:00Z' + to_milliseconds(range) AS viewed_at, (range % 5)::INT AS day FROM range(${count})`,
  )
  const hour = 3_600_000
  const server = await startServer(lake, { port: 0, limits: { queryTimeoutMs: hour, cacheBytesMax: 0 } })
  const files = await (await lake.table('views').snapshot()).files()
  const paths = files.map(({ file }) => `'${join(fileURLToPath(lake.table('views').uri), file)}'`)
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  const columns = 'id, url, price, viewed_at'
  const raw = `SELECT ${columns} FROM read_parquet([${paths.join(', ')}])`
  const answer = async (format: string) => {
    const url = `${server.url}/v1/sql?format=${format}&q=${encodeURIComponent(`SELECT ${columns} FROM views`)}`
    return count / (await drain(url)).seconds
  }
  const rate = async (work: () => Promise<unknown>) => count / (await seconds(work))
  const fetchAll = async () => {
    const result = await connection.stream(raw)
    for (let chunk = await result.fetchChunk(); chunk && chunk.rowCount > 0; chunk = await result.fetchChunk());
  }
  const title = (what: string) => `${count.toLocaleString('en-US')} rows ${what} over HTTP`
  const [arrow, own] = await inTurn(
    rounds,
    () => answer('arrow'),
    () => rate(fetchAll),
  )
  report({
    title: title('to Arrow'),
    unit: 'rows/s',
    ours: { name: 'deltaic GET /v1/sql', runs: arrow },
    peer: { name: 'DuckDB fetchChunk in process', runs: own },
    aim: 0.7,
  })
  for (const [format, options] of [
    ['ndjson', 'FORMAT json'],
    ['csv', 'FORMAT csv, HEADER true'],
  ] as const) {
    const file = join(folder, `copied.${format}`)
    const [ours, copy] = await inTurn(
      rounds,
      () => answer(format),
      () => rate(() => connection.run(`COPY (${raw}) TO '${file}' (${options})`)),
    )
    report({
      title: title(`as ${format}`),
      unit: 'rows/s',
      ours: { name: 'deltaic GET /v1/sql', runs: ours },
      peer: { name: 'DuckDB COPY to a file', runs: copy },
      aim: 0.6,
    })
  }

  const bare = fastify()
  bare.get('/', async () => ({ id: 1, url: 'https://example.org/1' }))
  const bareUrl = await bare.listen({ port: 0, host: '127.0.0.1' })
  const pointUrl = (n: number) =>
    `${server.url}/v1/sql?format=ndjson&q=${encodeURIComponent(`SELECT id, url FROM views WHERE day = ${n % 5} AND id = ${n}`)}`
  const [points, nothing] = await inTurn(
    rounds,
    () => requestsOf(pointUrl),
    () => requestsOf(() => bareUrl),
  )
  const inProcess = async () =>
    POINT_REQUESTS /
    10 /
    (await seconds(async () => {
      for (let n = 0; n < POINT_REQUESTS / 10; n++) await connection.runAndReadAll(`SELECT id, url FROM (${raw}) WHERE id = ${n}`)
    }))
  const peer = { name: 'bare fastify, which answers without a query', runs: nothing }
  report({
    title: `A point query by partition and key over HTTP, ${CLIENTS} clients (noted beside both, no aim)`,
    unit: 'requests/s',
    ours: { name: 'deltaic GET /v1/sql', runs: points },
    peer,
    aim: 0,
  })
  report({
    title: 'The same beside DuckDB in process, one after the other',
    unit: 'queries/s',
    ours: { name: 'deltaic GET /v1/sql', runs: points },
    peer: { name: 'DuckDB read_parquet', runs: [await inProcess()] },
    aim: 0,
  })
  await bare.close()
  connection.closeSync()
  await server.close()
  await lake.close()
}

/** Requests a second; prints the median time of one. */
async function requestsOf(urlOf: (n: number) => string): Promise<number> {
  const { requestsPerSecond, p50Ms } = await load(urlOf)
  console.log(`    p50 ${p50Ms.toFixed(2)} ms`)
  return requestsPerSecond
}
