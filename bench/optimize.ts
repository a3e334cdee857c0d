import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { openLakehouse } from '../src/index.js'
import type { BenchContext } from './context.js'
import { type PeerTimes, python } from './python.js'
import { report, seconds } from './report.js'

const FILES = 400
/** Rows of 45 bytes in a file: 2 GB for 500,000. */
const TIMES = 90

/** Compaction of many small files, against DuckDB copying the same bytes into files as large, and against delta-rs. */
export async function benchOptimize({ folder, rows, rounds }: BenchContext): Promise<void> {
  const root = join(folder, 'optimize')
  const total = Math.ceil((rows * TIMES) / FILES) * FILES
  const lake = await openLakehouse(join(root, 'lake'))
  await lake.sql('CREATE TABLE t (id BIGINT, v DOUBLE, s STRING)')
  for (let file = 0; file < FILES; file++) {
    const [from, to] = [(total / FILES) * file, (total / FILES) * (file + 1)]
    await lake.sql(`INSERT INTO t SELECT i, hash(i) / 1e19, 'row ' || md5(i::VARCHAR) FROM range(${from}, ${to}) AS r(i)`)
  }
  const table = lake.table('t')
  const { bytes, version } = await table.detail()
  cpSync(join(root, 'lake', 't'), join(root, 'peer'), { recursive: true })
  const turns = Math.min(rounds, 3)
  const duckdb = await (await DuckDBInstance.create()).connect()
  const copied = join(root, 'copied')
  const copy = `COPY (FROM read_parquet('${join(root, 'peer', '*.parquet')}')) TO '${copied}' (FORMAT parquet, COMPRESSION zstd, FILE_SIZE_BYTES '128MB')`
  const [ours, theirs]: [number[], number[]] = [[], []]
  for (let turn = 0; turn < turns; turn++) {
    ours.push(bytes / 1e6 / (await seconds(() => table.optimize())))
    await table.restore({ version })
    theirs.push(bytes / 1e6 / (await seconds(() => duckdb.run(copy))))
    rmSync(copied, { recursive: true })
  }
  await lake.close()
  const answer = python('peers.py', ['compact', join(root, 'peer'), String(turns)])
  const peer = answer === undefined ? undefined : (JSON.parse(answer) as PeerTimes<readonly number[]>)
  const title = `OPTIMIZE of ${(bytes / 1e6).toLocaleString('en-US', { maximumFractionDigits: 0 })} MB in ${FILES} files`
  const mine = { name: 'deltaic', runs: ours }
  report({
    title,
    unit: 'MB/s',
    ours: mine,
    peer: { name: 'DuckDB COPY of the same bytes, as zstd too', runs: theirs },
    aim: 0.8,
  })
  report({
    title,
    unit: 'MB/s',
    ours: mine,
    peer: peer
      ? { name: `delta-rs ${peer.version} optimize.compact`, runs: peer.seconds.map((took) => bytes / 1e6 / took) }
      : { name: 'delta-rs', why: 'DELTAIC_PEERS names no folder with it' },
    aim: 2,
  })
}
