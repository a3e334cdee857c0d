import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { barsSvg, errorsSvg } from './plots.js'
import type { StudyResult } from './result.js'
import { markdownTable, number } from './table.js'

const [BEGIN, END] = ['<!-- figures of a run -->', '<!-- end of figures -->']

/** The page, with the figures of a run between its marks. */
export function pageWith(page: string, result: StudyResult): string {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)]
  if (begin < 0 || end < begin) throw new Error(`the page has no ${BEGIN} … ${END}`)
  return `${page.slice(0, begin + BEGIN.length)}\n\n${figures(result)}\n\n${page.slice(end)}`
}

/** The plots, by file name. */
export function plotsOf(result: StudyResult): Readonly<Record<string, string>> {
  return { 'errors.svg': errorsSvg(result), 'bars.svg': barsSvg(result) }
}

/** Writes the figures into `case-study.md` of a folder, and plots and results into `case-study/` beside it. */
export function writeDocs(folder: string, result: StudyResult): void {
  const [page, beside] = [join(folder, 'case-study.md'), join(folder, 'case-study')]
  writeFileSync(page, pageWith(readFileSync(page, 'utf8'), result))
  mkdirSync(beside, { recursive: true })
  for (const [name, svg] of Object.entries(plotsOf(result))) writeFileSync(join(beside, name), svg)
  writeFileSync(join(beside, 'results.json'), `${JSON.stringify(result)}\n`)
}

function figures(result: StudyResult): string {
  const { rows, urls, postRows, copies, command, machine, node, contestants } = result
  const skipped = contestants.flatMap((contestant) =>
    'skipped' in contestant ? [`${contestant.title} did not run: ${contestant.skipped}.`] : [],
  )
  return [
    `\`${command}\`: ${number(rows)} views of ${number(urls)} URLs, ${number(copies)} more by the bug, ${postRows} a post, eight collectors.`,
    `${machine}, Node ${node}; times are p50 and p99.`,
    ...skipped,
    '',
    markdownTable(result),
    '',
    '![Error of each answer along the stream](case-study/errors.svg)',
    '',
    '![Rows a second, freshness, repair, storage](case-study/bars.svg)',
  ].join('\n')
}
