import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { generatePageViews } from '../data/page-views.js'
import { openLakehouse } from '../src/index.js'
import type { BenchContext } from './context.js'
import { inTurn, report, seconds } from './report.js'

const BATCH_ROWS = 1000
const COMMITS = 100

/** One writer, one batch of 1,000 rows a commit, each durable before the next, against delta-rs. */
export async function benchAppends({ folder, rounds }: BenchContext): Promise<void> {
  const batches = [...generatePageViews({ seed: 2, rows: BATCH_ROWS * COMMITS, batchRows: BATCH_ROWS })].map(
    (batch) => batch.ndjson,
  )
  const lake = await openLakehouse(join(folder, 'appends'))
  let round = 0
  const ours = async () => {
    const table = lake.table(`views_${round++}`)
    await table.append(batches[0] as Uint8Array, { create: true })
    const took = await seconds(async () => {
      for (const batch of batches) await table.append(batch)
    })
    return COMMITS / took
  }
  const python = join(process.env['DELTAIC_PEERS'] ?? '', 'venv', 'bin', 'python')
  const isThere = process.env['DELTAIC_PEERS'] !== undefined && existsSync(python)
  const peer = async () =>
    isThere
      ? Number(execFileSync(python, ['-c', PEER, join(folder, `peer_${round}`), String(COMMITS)], { encoding: 'utf8' }))
      : Number.NaN
  const [left, right] = await inTurn(rounds, ours, peer)
  await lake.close()
  report({
    title: `Appends of ${BATCH_ROWS.toLocaleString('en-US')} rows on disk, one after the other, ${COMMITS} commits a run`,
    unit: 'commits/s',
    ours: { name: 'deltaic append (fsynced)', runs: left },
    peer: isThere
      ? { name: 'deltalake write_deltalake', runs: right }
      : { name: 'deltalake write_deltalake', why: 'DELTAIC_PEERS names no folder with its environment' },
    aim: 4,
  })
}

/** The peer's data is Arrow in memory already; ours is parsed from NDJSON within the time. */
const PEER = `
import sys, time, pyarrow as pa, datetime
from deltalake import write_deltalake
path, commits = sys.argv[1], int(sys.argv[2])
n = ${BATCH_ROWS}
now = datetime.datetime.now(datetime.timezone.utc)
batch = pa.table({'viewed_at': pa.array([now] * n, pa.timestamp('us', 'UTC')), 'url': [f'/page/{i % 100}' for i in range(n)],
  'user_id': list(range(n)), 'status': pa.array([200] * n, pa.int32()), 'bytes': list(range(n)), 'referrer': ['https://example.org/'] * n})
write_deltalake(path, batch, mode='append')
start = time.perf_counter()
for _ in range(commits): write_deltalake(path, batch, mode='append')
print(commits / (time.perf_counter() - start))
`
