import { join } from 'node:path'
import { generatePageViews } from '../data/page-views.js'
import { openLakehouse, type Table } from '../src/index.js'
import type { BenchContext } from './context.js'
import { inTurn, report, seconds } from './report.js'

const COMMITS = 40
const FILES = [1, 1000, 100_000]

/** What a commit costs in a table of one live file and in one of very many: its log grows, and nothing else should. */
export async function benchCommitCost({ folder, rounds }: BenchContext): Promise<void> {
  const batches = [...generatePageViews({ seed: 4, rows: 1000 * COMMITS, batchRows: 1000 })].map((batch) => batch.ndjson)
  const lake = await openLakehouse(join(folder, 'commits'))
  const tables = new Map<number, Table>()
  for (const files of FILES) {
    const table = lake.table(`files_${files}`)
    await table.append(batches[0] as Uint8Array, { create: true })
    await (await table.transaction()).add(listed(files - 1)).commit()
    tables.set(files, table)
  }
  const run = (files: number) => async () => {
    const table = tables.get(files) as Table
    return (
      COMMITS /
      (await seconds(async () => {
        for (const batch of batches) await table.append(batch)
      }))
    )
  }
  const few = FILES[0] ?? 1
  for (const files of FILES.slice(1)) {
    const [many, one] = await inTurn(Math.min(rounds, 3), run(files), run(few))
    report({
      title: `Appends of 1,000 rows to a table of ${files.toLocaleString('en-US')} files, checkpoints every 10 commits included`,
      unit: 'commits/s',
      ours: { name: `${files.toLocaleString('en-US')} live files`, runs: many },
      peer: { name: `${few} live file`, runs: one },
      aim: 0.9,
    })
  }
  await lake.close()
}

/** Files as the log lists them. Nobody reads them here. */
function listed(count: number) {
  return Array.from({ length: count }, (_, at) => ({
    path: `part-00000-${String(at).padStart(12, '0')}.c000.snappy.parquet`,
    partitionValues: {},
    size: 40_000,
    modificationTime: 0,
    dataChange: true,
    stats: `{"numRecords":1000,"minValues":{"user_id":${at},"bytes":0},"maxValues":{"user_id":${at + 1000},"bytes":90000},"nullCount":{"user_id":0,"bytes":0}}`,
  }))
}
