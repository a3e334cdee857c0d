import { type DataType, type Leaf, leaves, type StructField } from './schema.js'

/** What a Parquet writer says of one leaf column, as text: numbers in decimal, instants in UTC, strings as they are. */
export interface ColumnStatistics {
  readonly min?: string | undefined
  readonly max?: string | undefined
  readonly nullCount?: number | undefined
  /** Whether a floating-point column holds NaN. */
  readonly hasNan?: boolean | undefined
}

/** By leaf path, joined as `leafKey` does. */
export type FileStatistics = ReadonlyMap<string, ColumnStatistics>

export function leafKey(path: readonly string[]): string {
  return JSON.stringify(path)
}

/** Which statistics a table keeps of its files. */
export interface StatsScope {
  /** How many leaves have statistics, from the first; -1 is all. */
  readonly columnsMax: number
  /** The columns that have them instead, as paths of files; a struct stands for all that is in it. */
  readonly columns?: readonly (readonly string[])[] | undefined
  /** Characters of a text that bounds keep. @defaultValue 32 */
  readonly prefixLength?: number | undefined
  /** Says that bounds and counts are those of the rows: wanted in tables whose files may lose rows to deletion vectors. */
  readonly tight?: boolean | undefined
}

const STRING_PREFIX = 32

/**
 * Renders `add.stats` for the leaves that `scope` chooses.
 *
 * The text is built by hand because numbers must keep all their digits (64-bit integers, decimals). Bounds that cannot
 * be told truthfully are left out: a column with NaN has none, as readers disagree on whether bounds cover NaN.
 *
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#per-file-statistics
 */
export function formatStats(
  fields: readonly StructField[],
  numRecords: number,
  statistics: FileStatistics,
  scope: StatsScope,
): string {
  const chosen = chosenLeaves(leaves(fields), scope)
  const prefix = scope.prefixLength ?? STRING_PREFIX
  const tree = (render: (leaf: Leaf, stats: ColumnStatistics) => string | undefined) =>
    nest(chosen.map((leaf) => [leaf.path, render(leaf, statistics.get(leafKey(leaf.path)) ?? {})]))
  const parts = [
    `"numRecords":${numRecords}`,
    `"minValues":${tree((leaf, stats) => bound(leaf.type, stats, 'min', prefix))}`,
    `"maxValues":${tree((leaf, stats) => bound(leaf.type, stats, 'max', prefix))}`,
    `"nullCount":${tree((_, stats) => (stats.nullCount === undefined ? undefined : String(stats.nullCount)))}`,
    ...(scope.tight ? ['"tightBounds":true'] : []),
  ]
  return `{${parts.join(',')}}`
}

function chosenLeaves(all: readonly Leaf[], { columns, columnsMax }: StatsScope): readonly Leaf[] {
  if (columns) return all.filter(({ path }) => columns.some((column) => column.every((part, index) => part === path[index])))
  return columnsMax < 0 ? all : all.slice(0, columnsMax)
}

function bound(type: DataType, stats: ColumnStatistics, side: 'min' | 'max', prefix: number): string | undefined {
  const text = stats[side]
  if (text === undefined || stats.hasNan || typeof type !== 'string') return undefined
  if (type.startsWith('decimal')) return /^-?\d+(\.\d+)?$/.test(text) ? text : undefined
  switch (type) {
    case 'byte':
    case 'short':
    case 'integer':
    case 'long':
      return /^-?\d+$/.test(text) ? text : undefined
    case 'float':
    case 'double':
      return floating(text, side)
    case 'string':
      return jsonOf(side === 'min' ? truncateMin(text, prefix) : truncateMax(text, prefix))
    case 'date':
      return /^\d{4}-\d{2}-\d{2}$/.test(text) ? jsonOf(text) : undefined
    case 'timestamp':
      return instant(text.replace(/\+00(:00)?$/, ''), 'Z')
    case 'timestamp_ntz':
      return instant(text, '')
    default:
      return undefined
  }
}

/** To the millisecond, rounded down; a reader takes the maximum as up to one millisecond later. */
function instant(text: string, suffix: string): string | undefined {
  const match = /^(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}:\d{2})(?:\.(\d+))?$/.exec(text)
  if (!match) return undefined
  return jsonOf(`${match[1]}T${match[2]}.${(match[3] ?? '').padEnd(3, '0').slice(0, 3)}${suffix}`)
}

/** Zero has two signs, which some readers put in order and writers of files do not: its bounds take in both. */
function floating(text: string, side: 'min' | 'max'): string | undefined {
  const value = Number(text)
  if (!Number.isFinite(value)) return undefined
  if (value === 0) return side === 'min' ? '-0.0' : '0.0'
  return jsonNumber(text)
}

function jsonNumber(text: string): string {
  return /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(text) ? text : String(Number(text))
}

/** At most `prefix` characters: a prefix sorts before, so it bounds from below. */
export function truncateMin(text: string, prefix = STRING_PREFIX): string {
  return [...take(text, prefix)].join('')
}

/**
 * A short string that sorts, by UTF-8 bytes, at or after `text`: its prefix and a character above what was cut off.
 *
 * @returns `undefined` when there is no such string.
 */
export function truncateMax(text: string, prefix = STRING_PREFIX): string | undefined {
  const characters = [...take(text, 2 * prefix + 1)]
  if (characters.length <= prefix) return text
  for (let cut = prefix; cut < characters.length && cut < 2 * prefix; cut++) {
    const next = characters[cut]?.codePointAt(0) ?? 0
    if (next < 0x7f) return `${characters.slice(0, cut).join('')}\u007f`
    if (next < 0x10ffff) return `${characters.slice(0, cut).join('')}\u{10ffff}`
  }
  return undefined
}

function* take(text: string, count: number): Generator<string> {
  let taken = 0
  for (const character of text) {
    if (taken++ === count) return
    yield character
  }
}

function jsonOf(value: string | undefined): string | undefined {
  return value === undefined ? undefined : JSON.stringify(value)
}

type Entry = readonly [path: readonly string[], value: string | undefined]

/** Nested objects from leaf paths; leaves without a value are left out. */
function nest(entries: readonly Entry[]): string {
  const groups = new Map<string, Entry[]>()
  for (const [path, value] of entries) {
    const [head, ...rest] = path
    if (head === undefined || value === undefined) continue
    groups.set(head, [...(groups.get(head) ?? []), [rest, value]])
  }
  const members = [...groups].map(([name, below]) => {
    const leaf = below.find(([path]) => path.length === 0)
    return `${JSON.stringify(name)}:${leaf ? leaf[1] : nest(below)}`
  })
  return `{${members.join(',')}}`
}
