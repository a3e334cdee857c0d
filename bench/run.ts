import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { DELTAIC_VERSION } from '../src/index.js'
import { benchAckLatency } from './ack-latency.js'
import { benchAppends } from './appends.js'
import { benchCheckpoint } from './checkpoint.js'
import { benchCommitCost } from './commit-cost.js'
import type { BenchContext } from './context.js'
import { benchCounter } from './counter.js'
import { benchDml } from './dml.js'
import { benchFreshness } from './freshness.js'
import { benchGrowth } from './growth.js'
import { benchHttpOut } from './http-out.js'
import { benchIngest } from './ingest.js'
import { benchIngestS3 } from './ingest-s3.js'
import { benchKafka } from './kafka.js'
import { benchOpen } from './open.js'
import { benchOptimize } from './optimize.js'
import { benchParquetWriting } from './parquet-writing.js'
import { reportMachine } from './report.js'
import { benchScan } from './scan.js'
import { benchSmallFiles } from './small-files.js'
import { benchSmallPosts } from './small-posts.js'
import { benchTpch } from './tpch.js'
import { benchViews } from './views.js'

const BENCHES: Readonly<Record<string, (context: BenchContext) => Promise<void>>> = {
  ingest: benchIngest,
  'small-posts': benchSmallPosts,
  growth: benchGrowth,
  freshness: benchFreshness,
  'ack-latency': benchAckLatency,
  counter: benchCounter,
  'ingest-s3': benchIngestS3,
  kafka: benchKafka,
  appends: benchAppends,
  scan: benchScan,
  'parquet-writing': benchParquetWriting,
  checkpoint: benchCheckpoint,
  'commit-cost': benchCommitCost,
  dml: benchDml,
  optimize: benchOptimize,
  'http-out': benchHttpOut,
  tpch: benchTpch,
  'small-files': benchSmallFiles,
  open: benchOpen,
  views: benchViews,
}

/** For a run that only shows that a benchmark works. */
const [ROWS, ROUNDS] = [Number(process.env['DELTAIC_BENCH_ROWS'] ?? 500_000), Number(process.env['DELTAIC_BENCH_ROUNDS'] ?? 5)]

const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => !(name in BENCHES))
if (unknown.length > 0) {
  console.error(`no benchmark is called ${unknown.join(', ')}; there are ${Object.keys(BENCHES).join(', ')}`)
  process.exit(2)
}
console.log(`npm run bench${wanted.length > 0 ? ` -- ${wanted.join(' ')}` : ''}`)
reportMachine({ deltaic: DELTAIC_VERSION, duckdb: versionOf('@duckdb/node-api'), 'parquetjs-lite': versionOf('parquetjs-lite') })
for (const [name, bench] of Object.entries(BENCHES)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  const folder = mkdtempSync(join(tmpdir(), 'deltaic-bench-'))
  try {
    await bench({ folder, rows: ROWS, rounds: ROUNDS })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function versionOf(name: string): string {
  const require = createRequire(import.meta.url)
  let folder = dirname(require.resolve(name))
  for (;;) {
    try {
      const found = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { name?: string; version?: string }
      if (found.name === name) return found.version ?? 'unknown'
    } catch {
      // Not the package's own folder: look above it.
    }
    if (folder === dirname(folder)) return 'unknown'
    folder = dirname(folder)
  }
}
