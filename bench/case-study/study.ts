import { readFileSync } from 'node:fs'
import { caseStream } from '../../data/case-stream.js'
import { dice } from '../../data/dice.js'
import type { Contestant, Pollution } from './contestant.js'
import { Questions } from './questions.js'
import { type ContestantResult, errorsOf, round, timesOf } from './result.js'
import { Run } from './run.js'
import { bytesMoved } from './service.js'
import { Truth } from './truth.js'

export interface StudyOptions {
  readonly rows: number
  readonly urls: number
  readonly instants: number
  readonly seed: number
  readonly postRows: number
}

const PROBES_MAX = 100
const AS_OF_QUESTIONS_MAX = 100

/** Runs the whole study with one contestant. */
export async function study(contestant: Contestant, folder: string, options: StudyOptions): Promise<ContestantResult> {
  const { rows, urls, instants, seed, postRows } = options
  const stream = caseStream({ seed, rows, urls, postRows })
  const probes = Array.from({ length: Math.min(PROBES_MAX, instants) }, (_, n) => `/probe/${n}`)
  const paths = [...stream.paths, ...probes]
  const truth = new Truth(stream, paths, Math.min(AS_OF_QUESTIONS_MAX, instants), dice(seed + 1))
  await contestant.open(folder, paths)
  try {
    const run = new Run(contestant, stream, truth, rows)
    const questions = new Questions(contestant, truth, run, stream, { instants, seed: seed + 2 })
    const started = performance.now()
    await Promise.all([run.stream(), questions.ask(), questions.probe(probes)])
    await run.upkeepDone
    const settleMs = run.settledAt - run.streamedAt
    const rate = truth.rowsAcknowledged / ((run.settledAt - started - run.downMs) / 1000)
    const drained = truth.deviation(await contestant.counts(), truth.sent)
    const asOf = await askAsOf(contestant, truth)
    const storageBytes = contestant.storageBytes()
    const repair = await repairOf(contestant, truth, run.pollution)
    const lines = linesOf(contestant.file)
    const { name, title, processes } = contestant
    return {
      ...{ name, title, version: contestant.version(), processes, lines },
      ...{ rowsPerSecond: Math.round(rate), settleMs: round(settleMs), downMs: round(run.downMs) },
      ackMs: timesOf(run.ackMs),
      freshMs: { ...timesOf(questions.freshMs), never: questions.never },
      askMs: timesOf(questions.answers.map(({ ms }) => ms)),
      upkeep: contestant.upkeepIs === undefined ? undefined : { what: contestant.upkeepIs, ms: run.upkeepMs },
      ...{ errors: errorsOf(questions.answers), wrong: questions.answers.filter(({ off }) => off !== 0) },
      ...{ drained, asOf, repair, storageBytes, copies: run.pollution.rows },
    }
  } finally {
    await contestant.close()
  }
}

async function askAsOf(contestant: Contestant, { questions, paths }: Truth): Promise<ContestantResult['asOf']> {
  const ms: number[] = []
  let [exact, shares] = [0, 0]
  for (const { rank, atMs, views } of questions) {
    const started = performance.now()
    const answer = await contestant.askAsOf(paths[rank] as string, atMs)
    ms.push(performance.now() - started)
    if (answer === views) exact++
    shares += Math.abs(answer - views) / Math.max(1, views)
  }
  return { questions: questions.length, exact, meanShare: round(shares / questions.length), ms: timesOf(ms) }
}

async function repairOf(contestant: Contestant, truth: Truth, pollution: Pollution): Promise<ContestantResult['repair']> {
  pollution = { ...pollution, sequences: pollution.sequences.toSorted((a, b) => a - b) }
  const before = truth.deviation(await contestant.counts(), truth.real)
  const pids = () => [process.pid, ...contestant.pids()]
  const moved = bytesMoved(pids())
  const started = performance.now()
  if (pollution.rows > 0) await contestant.repair(pollution)
  const ms = round(performance.now() - started)
  const now = bytesMoved(pids())
  const after = truth.deviation(await contestant.counts(), truth.real)
  return { ms, bytes: moved === undefined || now === undefined ? undefined : now - moved, before, after }
}

/** Lines that are neither empty nor comments. */
function linesOf(file: string): number {
  // The sources lie beside the compiled files' folder: dist/bench/case-study, bench/case-study.
  const source = import.meta.dirname.replace(/[/\\]dist(?:[/\\]\.[\w-]+)?(?=[/\\]bench)/, '')
  const lines = readFileSync(`${source}/${file}`, 'utf8').split('\n')
  return lines.filter((line) => !/^\s*(?:$|\/\/|\/\*|\*)/.test(line)).length
}
