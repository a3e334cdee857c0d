import type { AppendResult } from '../../src/index.js'
import type { Context } from '../context.js'
import { counted, humanCount, humanElapsed } from './human.js'
import { toJson } from './relation.js'

/** One input and what became of it. */
export interface Load {
  /** The file; `-` is stdin. */
  readonly file: string
  readonly result: AppendResult
}

/** Says which lines of a file were not taken, and why. */
export function reportRejects(context: Context, { file, result }: Load, naming: boolean): void {
  const where = naming ? `${file}: ` : ''
  for (const { line, reason } of result.rejects) context.note(`${where}line ${line}: ${reason}`)
  const more = result.rowsRejected - result.rejects.length
  if (more > 0) context.note(`${where}and ${humanCount(more)} more`)
}

/** Prints what was loaded: a sentence a file for people, all the facts for programs. */
export async function reportLoads(context: Context, table: string, loads: readonly Load[]): Promise<void> {
  const { output } = context.settings
  if (output === 'table') {
    for (const load of loads) await context.out.write(`${sentence(table, load, loads.length > 1)}\n`)
  } else if (output === 'json') {
    await context.out.write(`${toJson(loads.map(({ file, result }) => ({ table, file, ...result })))}\n`)
  } else {
    await context.print<Load>(
      [
        { name: 'table', value: () => table },
        { name: 'file', value: ({ file }) => file },
        { name: 'rowsAdded', value: ({ result }) => result.rowsAdded, isNumber: true },
        { name: 'rowsRejected', value: ({ result }) => result.rowsRejected, isNumber: true },
        { name: 'commits', value: ({ result }) => result.commits, isNumber: true },
        { name: 'version', value: ({ result }) => result.version, isNumber: true },
        { name: 'replayed', value: ({ result }) => result.replayed },
        { name: 'elapsedMs', value: ({ result }) => result.elapsedMs, isNumber: true },
      ],
      loads,
    )
  }
}

function sentence(table: string, { file, result }: Load, naming: boolean): string {
  const { rowsAdded, rowsRejected, rejectsTable, commits, version, elapsedMs, replayed } = result
  const where = naming ? `${file}: ` : ''
  const elapsed = humanElapsed(elapsedMs)
  if (replayed)
    return `${where}${counted(rowsAdded, 'row')} were in ${table} already, version ${version}; nothing written, ${elapsed}`
  const rejected =
    rowsRejected === 0 ? '' : `, ${counted(rowsRejected, 'line')} rejected${rejectsTable ? ` into ${rejectsTable}` : ''}`
  return `${where}${counted(rowsAdded, 'row')} into ${table}, ${counted(commits, 'commit')}, version ${version}, ${elapsed}${rejected}`
}
