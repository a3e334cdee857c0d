import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type AddFile, openLakehouse } from '../src/index.js'
import { inChild } from './child.js'
import type { BenchContext } from './context.js'
import type { Opened } from './opener.js'
import { type PeerTimes, python } from './python.js'
import { report, seconds } from './report.js'

const FILES_A_COMMIT = 125_000
const TAIL_COMMITS = 50
const PEERS = [
  ['deltalake', 'delta-rs'],
  ['duckdb', "DuckDB's delta extension"],
] as const

/** A table of very many files, a checkpoint and a tail of commits: opened cold, asked, and followed. */
export async function benchOpen({ folder, rows }: BenchContext): Promise<void> {
  const files = rows * 2
  const root = join(folder, 'open')
  const writer = await openLakehouse(root)
  await writer.sql("CREATE TABLE many (id BIGINT) TBLPROPERTIES ('delta.checkpointInterval' = '1000')")
  const table = writer.table('many')
  const add = async (first: number, end: number) => (await table.transaction()).add(fabricated(first, end)).commit()
  for (let first = 0; first < files; first += FILES_A_COMMIT) await add(first, Math.min(first + FILES_A_COMMIT, files))
  await table.checkpoint()
  for (let commit = 0; commit < TAIL_COMMITS; commit++) await add(files + commit, files + commit + 1)

  const { seconds: opened, memoryBytes } = await inChild<Opened>('opener.js', { root, table: 'many' })
  const reader = await openLakehouse(root)
  // Between the files' bounds: none of them is there to be read.
  const select = async (id: number) => (await reader.sql(`EXPLAIN SELECT * FROM many WHERE id = ${id}`)).stats
  await select(999)
  let at = 0
  const selective = await average(20, () => seconds(() => select(1000 * ++at + 999)))
  const followed = await average(20, async () => {
    await add(files + TAIL_COMMITS + at, files + TAIL_COMMITS + at + 1)
    at++
    return seconds(() => reader.table('many').snapshot())
  })
  console.log(`\nA table of ${files.toLocaleString('en-US')} files and ${TAIL_COMMITS} commits behind its checkpoint`)
  console.log(`  memory of the process grew by ${(memoryBytes / files).toFixed(0)} bytes a file; aim at most 1,024`)
  console.log(`  a selective query is planned and pruned in ${(selective * 1000).toFixed(1)} ms; aim at most 100`)
  console.log(`  a commit is followed in ${(followed * 1000).toFixed(1)} ms; aim at most 10`)
  await reader.close()
  await writer.close()
  for (const [engine, name] of PEERS) {
    const answer = python('peers.py', ['open', engine, fileURLToPath(table.uri)])
    const peer = answer === undefined ? undefined : (JSON.parse(answer) as PeerTimes<readonly number[]>)
    report({
      title: 'The same table, opened cold (at most 0.4x of the time is a rate of 2.5x)',
      unit: 'files/s',
      ours: { name: `deltaic (${opened.toFixed(2)} s)`, runs: [files / opened] },
      peer: peer
        ? {
            name: `${name} ${peer.version} (${peer.seconds[0]?.toFixed(2)} s, ${(peer.memoryBytes / 2 ** 20).toFixed(0)} MiB)`,
            runs: peer.seconds.map((taken) => files / taken),
          }
        : { name, why: 'DELTAIC_PEERS names no folder with it' },
      aim: 2.5,
    })
  }
}

/** Seconds of one of `times`, as `work` tells them. */
async function average(times: number, work: () => Promise<number>): Promise<number> {
  let total = 0
  for (let time = 0; time < times; time++) total += await work()
  return total / times
}

function* fabricated(first: number, end: number): Generator<AddFile> {
  for (let id = first; id < end; id++) {
    const stats = { numRecords: 1000, minValues: { id: id * 1000 }, maxValues: { id: id * 1000 + 998 }, nullCount: { id: 0 } }
    const path = `part-${String(id).padStart(8, '0')}-c0ffee00-0000-4000-8000-000000000000.c000.snappy.parquet`
    yield { path, partitionValues: {}, size: 1_000_000 + id, modificationTime: 1, dataChange: true, stats: JSON.stringify(stats) }
  }
}
