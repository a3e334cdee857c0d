import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { DuckDBInstance } from '@duckdb/node-api'
import { generatePageViews } from '../data/page-views.js'
import { startServer } from '../server/server.js'
import { openLakehouse } from '../src/index.js'
import type { BenchContext } from './context.js'
import { PRODUCERS, postAll, VIEW_COLUMNS } from './producer.js'
import { inTurn, report, seconds } from './report.js'

const [POST_ROWS, MANY] = [1000, 64]

/** HTTP NDJSON to durable commits on disk, many producers, against DuckDB's own NDJSON to Parquet of the same bytes. */
export async function benchIngest({ folder, rows, rounds }: BenchContext): Promise<void> {
  const posts = [...generatePageViews({ seed: 1, rows, batchRows: POST_ROWS })].map((batch) => batch.ndjson)
  const file = join(folder, 'views.ndjson')
  writeFileSync(file, Buffer.concat(posts))
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  const lake = await openLakehouse(join(folder, 'ingest'), { locations: false })
  const server = await startServer(lake, { port: 0 })
  let round = 0

  const from = async (producers: number) => {
    const name = `views_${round++}`
    await lake.createTable(name, { columns: VIEW_COLUMNS })
    await settled()
    const took = await postAll(new URL(`${server.url}/v1/tables/${name}/rows`), posts, 1, producers)
    const detail = await lake.table(name).detail()
    if (detail.rows !== rows) throw new Error(`${detail.rows} rows of ${rows} are there`)
    return rows / took
  }
  const peer = async () => {
    const took = await seconds(() =>
      connection.run(
        `COPY (SELECT * FROM read_json('${file}', format = 'newline_delimited', columns = ${TYPES})) TO '${join(folder, 'peer.parquet')}' (FORMAT parquet)`,
      ),
    )
    return rows / took
  }
  for (const producers of [PRODUCERS, MANY]) {
    const [left, right] = await inTurn(rounds, () => from(producers), peer)
    report({
      title: `HTTP NDJSON ingest to durable commits on disk: ${producers} producers, posts of ${POST_ROWS} rows, ${rows.toLocaleString('en-US')} rows`,
      unit: 'rows/s',
      ours: { name: 'deltaic over HTTP', runs: left },
      peer: { name: 'DuckDB COPY of the same bytes', runs: right },
      aim: producers === MANY ? 0.3 : 0.5,
    })
  }
  await server.close()
  await lake.close()
  connection.closeSync()
}

/** What the peer wrote is not made durable by it, and would be by our first commits. */
const settled = () => promisify(execFile)('sync')

const TYPES =
  "{viewed_at: 'TIMESTAMPTZ', url: 'VARCHAR', user_id: 'BIGINT', status: 'INTEGER', bytes: 'BIGINT', referrer: 'VARCHAR'}"
