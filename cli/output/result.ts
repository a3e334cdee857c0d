import type { QueryResult } from '../../src/index.js'
import type { Context } from '../context.js'
import { UsageError } from '../errors.js'
import type { OutputFormat } from '../settings.js'
import { counted, humanElapsed } from './human.js'
import { noProgress, type ProgressBar } from './progress-bar.js'

/** A table for people is held in memory and read by eye; past so many rows a note says how to have them all. */
const TERMINAL_ROWS_MAX = 1_000
const PIPED_ROWS_MAX = 10_000

/**
 * Prints a result, at the pace of its reader, and closes it. Formats for programs have no limit of size.
 *
 * @param bar is taken away when the answer begins.
 */
export async function printResult(
  context: Context,
  result: QueryResult,
  format: OutputFormat,
  bar: ProgressBar = noProgress,
): Promise<void> {
  const { out } = context
  try {
    if (out.isTerminal && (format === 'arrow' || format === 'parquet'))
      throw new UsageError(`${format} is not for a terminal`, `write it to a file: > answer.${format}`)
    if (format === 'table' && isPlan(result)) {
      const plan = await result.rows()
      bar.end()
      for (const { explain_key: subject, explain_value: said } of plan) await out.write(`${subject}\n${indented(said)}\n`)
      return
    }
    const maxRows = out.isTerminal ? TERMINAL_ROWS_MAX : PIPED_ROWS_MAX
    for await (const chunk of result.bytes(format, { maxRows })) {
      context.signal.throwIfAborted()
      bar.end()
      await out.write(chunk)
    }
    const { rowCount, elapsedMs } = result
    if (rowCount === undefined) context.note(`cut at ${counted(maxRows, 'row')}; -o ndjson, csv or json prints all of them`)
    else if (out.isTerminal)
      context.note(format === 'table' ? humanElapsed(elapsedMs) : `${counted(rowCount, 'row')}, ${humanElapsed(elapsedMs)}`)
  } finally {
    bar.end()
    await result.close()
  }
}

/** A plan is a text of many lines about each subject: in cells of a table nobody could read it. */
function isPlan({ columns }: QueryResult): boolean {
  return columns.map(({ name }) => name).join() === 'explain_key,explain_value'
}

function indented(text: unknown): string {
  return String(text).trimEnd().replace(/^/gm, '  ')
}
