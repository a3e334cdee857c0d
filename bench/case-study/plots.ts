import type { ContestantResult, StudyResult } from './result.js'
import { bytes, contestantsOf, duration, number } from './table.js'

const [WIDTH, LEFT, RIGHT] = [760, 150, 20]
const COLOURS: Readonly<Record<string, string>> = { mariadb: '#b5651d', lambda: '#7b5ea7', kappa: '#2f7f86', deltaic: '#1f5fbf' }

/** Along the stream, every wrong answer as a dot: by what share it was off. One panel for each contestant. */
export function errorsSvg(result: StudyResult): string {
  const ran = contestantsOf(result)
  const panel = 110
  const plotWidth = WIDTH - LEFT - RIGHT
  const parts = ran.flatMap((contestant, n) => {
    const middle = 50 + n * panel + panel / 2
    const worst = Math.max(0, ...contestant.wrong.map(({ share }) => Math.abs(share)))
    const asked = contestant.errors.reduce((total, { instants }) => total + instants, 0)
    const y = (share: number) => middle - (worst === 0 ? 0 : (share / worst) * (panel / 2 - 12))
    const dots = contestant.wrong.map(
      ({ position, share }) =>
        `<circle cx="${(LEFT + position * plotWidth).toFixed(1)}" cy="${y(share).toFixed(1)}" r="2" fill="${colourOf(contestant)}" fill-opacity="0.6"/>`,
    )
    const scale =
      worst === 0
        ? []
        : [label(LEFT - 8, y(worst) + 4, `+${share(worst)}`, 'end'), label(LEFT - 8, y(-worst) + 4, `−${share(worst)}`, 'end')]
    return [
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${middle}" y2="${middle}" stroke="#999"/>`,
      label(LEFT - 8, middle - 4, contestant.title, 'end', 'bold'),
      label(LEFT - 8, middle + 12, `${contestant.wrong.length} of ${asked} wrong`, 'end'),
      ...scale,
      ...dots,
    ]
  })
  const bottom = 50 + ran.length * panel
  const crash = LEFT + 0.55 * plotWidth
  const marks = [
    `<line x1="${crash}" x2="${crash}" y1="40" y2="${bottom}" stroke="#c00" stroke-dasharray="4 3"/>`,
    label(crash, 36, 'crash', 'middle'),
    label(LEFT, bottom + 16, 'first view', 'start'),
    label(WIDTH - RIGHT, bottom + 16, 'last view', 'end'),
  ]
  return svg(bottom + 28, 'Answers that were wrong, and by how much of the count', [...parts, ...marks])
}

interface Bars {
  readonly title: string
  readonly of: (result: ContestantResult) => number | undefined
  readonly shown: (value: number) => string
}

const BARS: readonly Bars[] = [
  { title: 'rows a second (more is better)', of: ({ rowsPerSecond }) => rowsPerSecond, shown: number },
  { title: 'ack until visible, p50', of: ({ freshMs }) => freshMs.p50, shown: duration },
  { title: 'one question, p50', of: ({ askMs }) => askMs.p50, shown: duration },
  { title: 'repair of the pollution', of: ({ repair }) => repair.ms, shown: duration },
  { title: 'views off after the repair', of: ({ repair: { after } }) => after.missing + after.extra, shown: number },
  { title: 'storage', of: ({ storageBytes }) => storageBytes, shown: bytes },
]

/** The main figures as bars, each kind on its own scale. */
export function barsSvg(result: StudyResult): string {
  const ran = contestantsOf(result)
  const [row, head] = [20, 30]
  const group = head + ran.length * row + 8
  const barWidth = WIDTH - LEFT - RIGHT - 90
  const parts = BARS.flatMap(({ title, of, shown }, g) => {
    const top = 40 + g * group
    const most = Math.max(...ran.map((contestant) => of(contestant) ?? 0)) || 1
    const rows = ran.flatMap((contestant, n) => {
      const [value, y] = [of(contestant), top + head + n * row]
      const width = value === undefined ? 0 : (value / most) * barWidth
      return [
        label(LEFT - 8, y + 12, contestant.title, 'end'),
        `<rect x="${LEFT}" y="${y}" width="${width.toFixed(1)}" height="15" fill="${colourOf(contestant)}"/>`,
        label(LEFT + width + 6, y + 12, value === undefined ? 'not seen' : shown(value), 'start'),
      ]
    })
    return [label(LEFT, top + 20, title, 'start', 'bold'), ...rows]
  })
  return svg(40 + BARS.length * group, 'One stream, four ways', parts)
}

function svg(height: number, title: string, parts: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${title}" font-family="sans-serif" font-size="11">`,
    `<title>${title}</title>`,
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    `<text x="${WIDTH / 2}" y="20" text-anchor="middle" font-size="14" font-weight="bold">${title}</text>`,
    ...parts,
    '</svg>\n',
  ].join('\n')
}

function label(x: number, y: number, text: string, anchor: 'start' | 'middle' | 'end', weight = 'normal'): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}" font-weight="${weight}">${text}</text>`
}

function share(value: number): string {
  return `${Number((value * 100).toPrecision(2))} %`
}

function colourOf({ name }: ContestantResult): string {
  return COLOURS[name] ?? '#444'
}
