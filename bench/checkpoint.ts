import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type AddFile, openLakehouse } from '../src/index.js'
import type { BenchContext } from './context.js'
import { report, seconds } from './report.js'

const FILES_A_COMMIT = 125_000

/** A table of very many files: its checkpoint written, and the table opened from it by a process that knows nothing, against delta-rs. */
export async function benchCheckpoint({ folder, rows }: BenchContext): Promise<void> {
  for (const files of [rows / 5, rows * 2]) await measure(join(folder, `checkpoint_${files}`), files)
}

async function measure(folder: string, files: number): Promise<void> {
  const writer = await openLakehouse(folder)
  const table = writer.table('many')
  await writer.sql('CREATE TABLE many (id BIGINT)')
  for (let first = 0; first < files; first += FILES_A_COMMIT)
    await (await table.transaction()).add(fabricated(first, Math.min(first + FILES_A_COMMIT, files))).commit()
  // What was committed is taken in first: the peer has it in memory too when its time begins.
  await table.detail()
  const written = await seconds(() => table.checkpoint())
  await writer.close()

  const before = heapBytes()
  const reader = await openLakehouse(folder)
  const opened = await seconds(() => reader.table('many').snapshot())
  const grownMiB = (heapBytes() - before) / 2 ** 20
  await reader.close()

  const peer = ofPeer(fileURLToPath(table.uri))
  const name = `of a table of ${files.toLocaleString('en-US')} files`
  const compare = (title: string, verb: string, ours: number, theirs: number | undefined) =>
    report({
      title,
      unit: 'files/s',
      ours: { name: `deltaic ${verb} (${ours.toFixed(1)} s)`, runs: [files / ours] },
      peer:
        theirs === undefined
          ? { name: 'deltalake', why: 'DELTAIC_PEERS names no folder with its environment' }
          : { name: `deltalake ${verb} (${theirs.toFixed(1)} s)`, runs: [files / theirs] },
      aim: 1,
    })
  compare(`Checkpoint ${name}, written`, 'checkpoint', written, peer?.written)
  compare(
    `The same checkpoint, opened cold; the JavaScript heap grew by ${grownMiB.toFixed(1)} MiB`,
    'open',
    opened,
    peer?.opened,
  )
}

function* fabricated(first: number, end: number): Generator<AddFile> {
  for (let id = first; id < end; id++) {
    const stats = { numRecords: 1000, minValues: { id }, maxValues: { id: id + 999 }, nullCount: { id: 0 } }
    const path = `part-${String(id).padStart(8, '0')}-c0ffee00-0000-4000-8000-000000000000.c000.snappy.parquet`
    yield { path, partitionValues: {}, size: 1_000_000 + id, modificationTime: 1, dataChange: true, stats: JSON.stringify(stats) }
  }
}

/** Seconds; `undefined` where there is no peer. It opens our checkpoint, and writes its own in its place. */
function ofPeer(path: string): { readonly opened: number; readonly written: number } | undefined {
  const folder = process.env['DELTAIC_PEERS']
  const python = join(folder ?? '', 'venv', 'bin', 'python')
  if (folder === undefined || !existsSync(python)) return undefined
  const [opened = Number.NaN, written = Number.NaN] = execFileSync(python, ['-c', PEER, path], { encoding: 'utf8' })
    .split(' ')
    .map(Number)
  return { opened, written }
}

const PEER = `
import glob, os, sys, time
from deltalake import DeltaTable
start = time.perf_counter()
table = DeltaTable(sys.argv[1])
table.get_add_actions()
opened = time.perf_counter() - start
for file in glob.glob(sys.argv[1] + '/_delta_log/*checkpoint*'): os.remove(file)
start = time.perf_counter()
table.create_checkpoint()
print(opened, time.perf_counter() - start)
`

function heapBytes(): number {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}
