import Table from 'cli-table3'
import type { ContestantResult, StudyResult, Times } from './result.js'
import type { Deviation } from './truth.js'

/** What is told of each contestant, in this order. */
const ROWS: readonly (readonly [title: string, cell: (result: ContestantResult) => string])[] = [
  ['rows/s', ({ rowsPerSecond }) => number(rowsPerSecond)],
  ['a post of rows until its ack', ({ ackMs }) => times(ackMs)],
  [
    'fresh: ack until visible',
    ({ freshMs }) => `${times(freshMs)}${freshMs.never > 0 ? `; ${freshMs.never} not within 5 s` : ''}`,
  ],
  ['last ack until all is visible', ({ settleMs }) => duration(settleMs)],
  ['one question', ({ askMs }) => times(askMs)],
  ['wrong answers under load', (result) => phase(result, 'under load')],
  ['… during upkeep', (result) => (result.upkeep ? phase(result, 'during upkeep') : 'has none')],
  ['… after a crash', (result) => phase(result, 'after a crash')],
  ['… after the stream', (result) => phase(result, 'after the stream')],
  ['upkeep', ({ upkeep }) => (upkeep ? `${upkeep.what}: ${upkeep.ms.map(duration).join(', ')}` : 'none')],
  ['crash until the next ack', ({ downMs }) => duration(downMs)],
  ['counts at the end', ({ drained }) => deviation(drained)],
  [
    'as of event time',
    ({ asOf }) => `${asOf.exact} of ${asOf.questions} exact, off by ${percent(asOf.meanShare)}; ${times(asOf.ms)}`,
  ],
  ['counts before the repair', ({ repair }) => deviation(repair.before)],
  ['counts after the repair', ({ repair }) => deviation(repair.after)],
  ['repair', ({ repair }) => `${duration(repair.ms)}${repair.bytes === undefined ? '' : `, ${bytes(repair.bytes)} moved`}`],
  ['storage', ({ storageBytes }) => (storageBytes === undefined ? 'not seen' : bytes(storageBytes))],
  ['processes', ({ processes }) => `${processes.length}: ${processes.join(', ')}`],
  ['lines of code', ({ lines }) => String(lines)],
]

export function terminalTable(result: StudyResult): string {
  const ran = contestantsOf(result)
  const table = new Table({
    head: ['', ...ran.map(({ title }) => title)],
    style: { head: [], border: [] },
    wordWrap: true,
    colWidths: [30, ...ran.map(() => 28)],
  })
  for (const [title, cell] of ROWS) table.push([title, ...ran.map(cell)])
  return table.toString()
}

export function markdownTable(result: StudyResult): string {
  const ran = contestantsOf(result)
  const lines = [['', ...ran.map(({ title, version }) => `${title} (${version})`)], ran.map(() => '---').concat('---')]
  for (const [title, cell] of ROWS) lines.push([title, ...ran.map(cell)])
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

/** Those that ran. */
export function contestantsOf(result: StudyResult): readonly ContestantResult[] {
  return result.contestants.filter((contestant): contestant is ContestantResult => !('skipped' in contestant))
}

export function number(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: 0 })
}

export function duration(ms: number): string {
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`
  return `${ms >= 10 ? ms.toFixed(0) : ms.toFixed(ms >= 0.1 ? 1 : 3)} ms`
}

export function bytes(value: number): string {
  if (value < 1e6) return `${(value / 1e3).toFixed(1)} kB`
  return value >= 1e9 ? `${(value / 1e9).toFixed(1)} GB` : `${(value / 1e6).toFixed(1)} MB`
}

function times({ p50, p99 }: Times): string {
  return `${duration(p50)}, p99 ${duration(p99)}`
}

function percent(share: number): string {
  return `${Number((share * 100).toPrecision(2))} %`
}

function phase({ errors }: ContestantResult, name: string): string {
  const found = errors.find((each) => each.phase === name)
  if (!found || found.instants === 0) return 'not asked'
  const { wrong, instants, worstShare, meanShare } = found
  return wrong === 0 ? `0 of ${instants}` : `${wrong} of ${instants}, by ${percent(meanShare)}, at most ${percent(worstShare)}`
}

function deviation({ urls, missing, extra }: Deviation): string {
  if (urls === 0) return 'exact'
  const parts = [missing > 0 ? `${number(missing)} views missing` : '', extra > 0 ? `${number(extra)} too many` : '']
  return `${parts.filter(Boolean).join(', ')} (${number(urls)} URLs)`
}
