import { join } from 'node:path'
import { generatePageViews } from '../data/page-views.js'
import { openLakehouse } from '../src/index.js'
import type { BenchContext } from './context.js'
import { inTurn, report, seconds } from './report.js'

const ROWS = 50_000

interface ParquetWriter {
  appendRow(row: Readonly<Record<string, unknown>>): Promise<void>
  close(): Promise<void>
}

interface ParquetjsLite {
  readonly ParquetSchema: new (schema: Readonly<Record<string, unknown>>) => unknown
  readonly ParquetWriter: { openFile(schema: unknown, path: string): Promise<ParquetWriter> }
}

/** NDJSON bytes to a Parquet file: ours goes on to a durable commit, the peer's ends with the file. */
export async function benchParquetWriting({ folder, rounds }: BenchContext): Promise<void> {
  const { ParquetSchema, ParquetWriter } = (await import('parquetjs-lite' as string)).default as ParquetjsLite
  const bytes = Buffer.concat([...generatePageViews({ seed: 4, rows: ROWS })].map((batch) => batch.ndjson))
  const lake = await openLakehouse(join(folder, 'writing'))
  let round = 0
  const ours = async () => ROWS / (await seconds(() => lake.table(`views_${round++}`).append(bytes, { create: true })))
  const schema = new ParquetSchema({
    viewed_at: { type: 'TIMESTAMP_MILLIS' },
    url: { type: 'UTF8' },
    user_id: { type: 'INT64' },
    status: { type: 'INT32' },
    bytes: { type: 'INT64' },
    referrer: { type: 'UTF8', optional: true },
  })
  const peer = async () => {
    const took = await seconds(async () => {
      const writer = await ParquetWriter.openFile(schema, join(folder, `lite_${round}.parquet`))
      for (const line of bytes.toString('utf8').trimEnd().split('\n')) {
        const row = JSON.parse(line) as { viewed_at: string; referrer: string | null }
        await writer.appendRow({ ...row, viewed_at: new Date(row.viewed_at), referrer: row.referrer ?? undefined })
      }
      await writer.close()
    })
    return ROWS / took
  }
  const [left, right] = await inTurn(rounds, ours, peer)
  await lake.close()
  report({
    title: `NDJSON to Parquet, ${ROWS.toLocaleString('en-US')} rows`,
    unit: 'rows/s',
    ours: { name: 'deltaic append, with statistics and a durable commit', runs: left },
    peer: { name: 'parquetjs-lite', runs: right },
    aim: 5,
  })
}
