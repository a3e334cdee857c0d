// deltaic, Spark and delta-rs take turns on one table, at random, and it always holds what a model in memory holds.
//
// DELTAIC_WALK_SEED replays a walk; DELTAIC_WALKS and DELTAIC_WALK_STEPS make more of them, and longer ones.
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { type Random, seededRandom } from '../../src/base/random.js'
import { openLakehouse, type Table } from '../../src/index.js'
import { describeWhen } from '../support/needs.js'
import {
  type PeerClient,
  type PeerReader,
  peers,
  readWithSpark,
  sharedSpark,
  startDeltalake,
  startReader,
} from '../support/peers.js'
import { located } from './engines.js'
import { digestAt, onDisk } from './lakes.js'
import { type Design, deltaicEngine, deltalakeEngine, sparkEngine, type WalkEngine } from './walk-engines.js'
import { COLUMNS, inOrder, type Model, type Operation, Operations, pick, type Row } from './walk-model.js'

const WALKS = Number(process.env['DELTAIC_WALKS'] || 3)
const STEPS = Number(process.env['DELTAIC_WALK_STEPS'] || 10)
const SEED = Number(process.env['DELTAIC_WALK_SEED'] || Math.floor(Math.random() * 2 ** 31))
const SPARK_READS_EVERY = 4

const FEATURES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  vectors: { 'delta.enableDeletionVectors': 'true' },
  mapping: { 'delta.columnMapping.mode': 'name' },
  feed: { 'delta.enableChangeDataFeed': 'true' },
  rows: { 'delta.enableRowTracking': 'true' },
  times: { 'delta.enableInCommitTimestamps': 'true' },
  v2: { 'delta.checkpointPolicy': 'v2' },
}

function designOf(random: Random): Design {
  // Half of the tables stay as delta-rs writes them.
  const chance = random.next() < 0.5 ? 0.15 : 0.5
  const chosen = Object.values(FEATURES).filter(() => random.next() < chance)
  const often = { 'delta.checkpointInterval': pick(random, ['3', '5', '10']) }
  return { isPartitioned: random.next() < 0.5, properties: Object.assign({}, often, ...chosen) as Design['properties'] }
}

function shuffled<T>(random: Random, values: readonly T[]): readonly T[] {
  return values
    .map((value) => ({ value, at: random.next() }))
    .sort((a, b) => a.at - b.at)
    .map(({ value }) => value)
}

/** Who did not do what, with the message, each once. */
const refusals = new Map<string, string>()
afterAll(() => {
  if (refusals.size > 0) process.stdout.write(`\nRefused:\n${[...refusals].map(([who, why]) => `  ${who}: ${why}\n`).join('')}`)
})
const refused = (who: string, why: string) => refusals.set(who, why.split('\n')[0]?.slice(0, 160) ?? '')

interface Walk {
  readonly engines: readonly WalkEngine[]
  readonly table: Table
  readonly log: string[]
}

/** The first engine of a random order that does not refuse. */
async function byAnyEngine(
  { engines, log }: Walk,
  random: Random,
  what: string,
  work: (engine: WalkEngine) => Promise<string | undefined>,
): Promise<boolean> {
  for (const engine of shuffled(random, engines)) {
    const why = await work(engine)
    const line = `${engine.name}: ${what}${why === undefined ? '' : ` (refused: ${why.split('\n')[0]})`}`
    log.push(line)
    if (process.env['DELTAIC_WALK_SEED']) process.stdout.write(`${line}\n`)
    if (why === undefined) return true
    refused(`${engine.name}, ${what.split(' ')[0]}`, why)
  }
  return false
}

async function rowsSeen(table: Table, at: { readonly version?: number } = {}): Promise<readonly Row[]> {
  const read = await (await table.snapshot(at)).scan().toArrow()
  const plain = (value: unknown) => (typeof value === 'bigint' ? Number(value) : (value as Row[string]))
  const rows = read.toArray().map((row) => Object.fromEntries(Object.entries(row.toJSON()).map(([name, v]) => [name, plain(v)])))
  return inOrder(rows as Row[])
}

const describeStep = (operation: Operation) => {
  const { after, ...asked } = operation
  return `${asked.kind} ${JSON.stringify(asked)} leaves ${after.rows.length} rows`
}

const needs = ['spark', 'deltalake'] as const
const missing = needs.find((kind) => !peers.available(kind))

describeWhen(missing === undefined, peers.reason(missing ?? 'spark'), 'deltaic, Spark and delta-rs in turns', () => {
  const folder = join(onDisk.root, '..', 'walk')
  const spark = sharedSpark()
  let light: Promise<{ readonly writer: PeerClient; readonly reader: PeerReader }> | undefined
  const deltalake = () => {
    light ??= (async () => ({ writer: await startDeltalake('/'), reader: startReader('deltalake') }))()
    return light
  }
  afterAll(async () => {
    const started = await light
    await Promise.all([started?.writer.close(), started?.reader.close()])
  })

  it.each(Array.from({ length: WALKS }, (_, nth) => SEED + nth))(
    'leave what the model has, whatever they do (seed %i)',
    { timeout: 120_000 + STEPS * 20_000 },
    async (seed) => {
      const random = seededRandom(seed)
      const name = `walk_${seed}`
      const lake = await openLakehouse(folder, onDisk.options)
      const table = lake.table(name)
      const path = located(table.uri)
      const [sparkPeer, light] = [await spark(), await deltalake()]
      const engines = [deltaicEngine(lake, name), sparkEngine(sparkPeer, path), deltalakeEngine(light.writer, path)]
      const walk: Walk = { engines, table, log: [] }
      try {
        const design = designOf(random)
        await byAnyEngine(walk, random, `create ${JSON.stringify(design)}`, (engine) => engine.create(design))
        const operations = new Operations(random, design.isPartitioned)
        let now: Model = { columns: COLUMNS, rows: [] }
        let versions = new Map<number, Model>([[0, now]])
        for (let step = 1; step <= STEPS; step++) {
          const operation = operations.next(now, versions)
          const isDone = await byAnyEngine(walk, random, describeStep(operation), (engine) => engine.run(operation, now))
          if (isDone) now = operation.after
          const { version } = await table.detail()
          if (isDone && operation.kind === 'vacuum') versions = new Map()
          versions.set(version, now)
          expect(await rowsSeen(table)).toEqual(inOrder(now.rows))
          const [older, then] = pick(random, [...versions])
          expect(await rowsSeen(table, { version: older })).toEqual(inOrder(then.rows))
          if (step % SPARK_READS_EVERY === 0 || step === STEPS) await othersAgree(walk, sparkPeer, light.reader)
        }
        await using again = await openLakehouse(folder, onDisk.options)
        expect(await rowsSeen(again.table(name))).toEqual(inOrder(now.rows))
        await replaysItsChanges(lake, name, design, versions, now)
      } catch (error) {
        throw new Error(`DELTAIC_WALK_SEED=${seed} DELTAIC_WALK_STEPS=${STEPS} DELTAIC_WALKS=1\n${walk.log.join('\n')}`, {
          cause: error,
        })
      } finally {
        await lake.close()
      }
    },
  )
})

/** Spark reads the same rows; delta-rs too, where it reads the table. */
async function othersAgree({ table }: Walk, spark: PeerClient, reader: PeerReader): Promise<void> {
  const ours = await digestAt(table.snapshot())
  const uri = located(table.uri)
  const theirs = await readWithSpark(spark, { uri })
  expect(theirs.error, 'Spark reads').toBeUndefined()
  expect(theirs.digest, 'Spark').toBe(ours)
  const light = await reader.read({ uri })
  if (light.error) refused('deltalake, read', light.error.message)
  else expect(light.digest, 'delta-rs').toBe(ours)
}

/** Where changes are kept, those of all versions lead to the rows. */
async function replaysItsChanges(
  lake: Awaited<ReturnType<typeof openLakehouse>>,
  name: string,
  { properties }: Design,
  versions: ReadonlyMap<number, Model>,
  now: Model,
): Promise<void> {
  if (properties['delta.enableChangeDataFeed'] !== 'true' || !versions.has(0) || now.columns !== COLUMNS) return
  if ([...versions.values()].some(({ columns }) => columns !== COLUMNS)) return
  const result = await lake.sql(
    `SELECT id::INTEGER AS id, v, s, p, _change_type AS c FROM table_changes('${name}', 0) ORDER BY _commit_version`,
  )
  const counts = new Map<string, number>()
  for (const { c, ...row } of (await result.rows()) as Row[]) {
    const key = JSON.stringify(row)
    const by = c === 'insert' || c === 'update_postimage' ? 1 : -1
    counts.set(key, (counts.get(key) ?? 0) + by)
  }
  const left = [...counts].flatMap(([key, n]) => Array.from({ length: n }, () => JSON.parse(key) as Row))
  expect(
    [...counts.values()].every((n) => n >= 0),
    'no row goes that did not come',
  ).toBe(true)
  expect(inOrder(left)).toEqual(inOrder(now.rows))
}
