import type { QueryResult } from '../src/index.js'
import type { AnswerFormat } from './formats.js'
import type { Bytes } from './query.js'
import type { QueryRun } from './query-run.js'

/** An answer from its first byte to its last; a failure is thrown. */
export function wholeAnswer({ result, bytes }: QueryRun, format: AnswerFormat): Bytes {
  return format === 'json' ? jsonAnswer(result, bytes) : bytes
}

/** The rows are text already; only what is around them is written here. */
async function* jsonAnswer(result: QueryResult, rows: Bytes): Bytes {
  const { columns, versions } = result
  yield Buffer.from(`{"columns":${JSON.stringify(columns)},"versions":${JSON.stringify(versions)},"rows":`)
  yield* rows
  const { rowCount, stats, elapsedMs } = result
  yield Buffer.from(`,"rowCount":${rowCount ?? null},"stats":${JSON.stringify(stats)},"elapsedMs":${elapsedMs}}\n`)
}
