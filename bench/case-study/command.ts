import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import type { Contestant } from './contestant.js'
import { Deltaic } from './deltaic.js'
import { writeDocs } from './docs.js'
import { Kappa } from './kappa.js'
import { Lambda } from './lambda.js'
import { MariaDb } from './mariadb.js'
import type { StudyResult } from './result.js'
import { type StudyOptions, study } from './study.js'
import { terminalTable } from './table.js'

const CONTESTANTS: readonly (() => Contestant)[] = [
  () => new MariaDb(),
  () => new Lambda(),
  () => new Kappa(),
  () => new Deltaic(),
]

interface Flags extends StudyOptions {
  readonly only?: string
  readonly json?: string
  readonly from?: string
  readonly write?: string
}

const program = new Command('npm run case-study --')
  .description(
    'One stream of page views into MariaDB counters, Lambda, Kappa and deltaic: what each answers, when, and how it is repaired.',
  )
  .option('--rows <n>', 'page views in the stream', whole, 25_000_000)
  .option('--urls <n>', 'URLs that they are for', whole, 10_000)
  .option('--post-rows <n>', 'views in a post', whole, 500)
  .option('--instants <n>', 'random instants at which the answer is looked at', whole, 1000)
  .option('--seed <n>', 'of the stream and the questions', whole, 1)
  .option('--only <names>', 'some of mariadb, lambda, kappa, deltaic; with commas')
  .option('--json <file>', 'write the results')
  .option('--from <file>', 'run nothing: take the results of a run')
  .option('--write <folder>', 'write figures and plots into case-study.md of this folder, and the results beside them')
  .addHelpText(
    'after',
    '\nExample:\n  $ npm run case-study -- --rows 1000000 --write docs\n  $ npm run case-study -- --from docs/case-study/results.json --write docs',
  )
  .action(main)
await program.parseAsync()

async function main(flags: Flags): Promise<void> {
  const result = flags.from === undefined ? await run(flags) : (JSON.parse(readFileSync(flags.from, 'utf8')) as StudyResult)
  console.log(terminalTable(result))
  for (const contestant of result.contestants)
    if ('skipped' in contestant) console.log(`${contestant.title}: skipped, ${contestant.skipped}`)
  if (flags.json !== undefined) writeFileSync(flags.json, `${JSON.stringify(result, undefined, 1)}\n`)
  if (flags.write !== undefined) writeDocs(flags.write, result)
}

async function run(flags: Flags): Promise<StudyResult> {
  const wanted = flags.only?.split(',')
  const all = CONTESTANTS.map((create) => create())
  const unknown = wanted?.filter((name) => !all.some((contestant) => contestant.name === name)) ?? []
  if (unknown.length > 0) program.error(`no contestant is called ${unknown.join(', ')}`, { exitCode: 2 })
  const results: StudyResult['contestants'][number][] = []
  let copies = 0
  for (const contestant of all.filter(({ name }) => wanted?.includes(name) ?? true)) {
    const { name, title } = contestant
    const lacks = contestant.lacks()
    if (lacks !== undefined) {
      results.push({ name, title, skipped: lacks })
      continue
    }
    console.error(`${title} …`)
    const folder = mkdtempSync(join(tmpdir(), `case-${name}-`))
    try {
      const result = await study(contestant, folder, flags)
      copies = result.copies
      results.push(result)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }
  const { rows, urls, postRows, instants, seed } = flags
  const [cpu] = cpus()
  const machine = `${cpus().length} × ${cpu?.model ?? 'processor'}, ${Math.round(totalmem() / 2 ** 30)} GiB`
  const command = `npm run case-study -- --rows ${rows} --instants ${instants} --seed ${seed}`
  return { command, machine, node: process.version, rows, urls, postRows, copies, seed, contestants: results }
}

function whole(text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('a whole number from 1')
  return value
}
