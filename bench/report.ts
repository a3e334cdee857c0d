import { cpus } from 'node:os'

/** One side of a comparison. */
export interface Figure {
  readonly name: string
  /** In `unit`, of each run. */
  readonly runs: readonly number[]
}

/** Two ways to do the same work, measured in turn in one process. */
export interface Comparison {
  readonly title: string
  /** More is better, unless `isLessBetter`. */
  readonly unit: string
  readonly isLessBetter?: boolean
  readonly ours: Figure
  /** Absent when the peer is not there; `why` says so. */
  readonly peer: Figure | { readonly name: string; readonly why: string }
  /** What ours divided by the peer's should reach, or stay within. */
  readonly aim: number
}

/** Prints a comparison: medians, spread, and the ratio. */
export function report(comparison: Comparison): void {
  const { title, unit, ours, peer, aim, isLessBetter = false } = comparison
  console.log(`\n${title}`)
  console.log(`  ${line(ours, unit)}`)
  if (!('runs' in peer)) {
    console.log(`  ${peer.name}: skipped, ${peer.why}`)
    return
  }
  console.log(`  ${line(peer, unit)}`)
  const ratio = median(ours.runs) / median(peer.runs)
  const isReached = isLessBetter ? ratio <= aim : ratio >= aim
  console.log(
    `  ratio ${ratio.toFixed(2)}x, aim ${isLessBetter ? 'at most ' : ''}${aim}x: ${isReached ? 'reached' : 'not reached'}`,
  )
}

/** Says on what all of it ran. */
export function reportMachine(versions: Readonly<Record<string, string>>): void {
  const [cpu] = cpus()
  console.log(`node ${process.version}, ${cpus().length} x ${cpu?.model ?? 'processor'}`)
  for (const [name, version] of Object.entries(versions)) console.log(`${name} ${version}`)
}

/** Runs both in turn, `rounds` times after one round that is not counted. */
export async function inTurn(
  rounds: number,
  ours: () => Promise<number>,
  peer: () => Promise<number>,
): Promise<readonly [number[], number[]]> {
  const [left, right]: [number[], number[]] = [[], []]
  for (let round = 0; round <= rounds; round++) {
    const [a, b] = [await ours(), await peer()]
    if (round === 0) continue
    left.push(a)
    right.push(b)
  }
  return [left, right]
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2
}

/** Seconds that `work` takes. */
export async function seconds(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now()
  await work()
  return (performance.now() - started) / 1000
}

function line({ name, runs }: Figure, unit: string): string {
  const number = (value: number) => value.toLocaleString('en-US', { maximumFractionDigits: value < 100 ? 1 : 0 })
  return `${name}: ${number(median(runs))} ${unit} (${number(Math.min(...runs))} to ${number(Math.max(...runs))}, ${runs.length} runs)`
}
