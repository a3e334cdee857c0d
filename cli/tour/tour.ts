import { generatePageViews } from '../../data/page-views.js'
import { counted, humanBytes, humanCount, humanElapsed } from '../output/human.js'
import type { Client } from './client.js'
import { createLedger, type Ledger } from './ledger.js'
import { type Sent, type Streaming, startStreaming } from './producers.js'
import { askTopUrls, isExact, isSameAnswer, TOUR_TABLE, type TopUrls } from './question.js'
import type { Stage } from './stage.js'

const ROWS = 200_000
const BATCH_ROWS = 1_000
const PRODUCERS = 4
const SEED = 20_261_101

/**
 * Plays the tour on an empty lakehouse: everything happens over HTTP, as it would from other machines.
 *
 * What an answer must be is known to the last view: each ack says the version from which on its rows are visible, and each
 * answer says the version it was read from. So an answer at version v counts exactly the batches acknowledged at v or before.
 */
export async function playTour(client: Client, stage: Stage): Promise<void> {
  const ledger = createLedger()
  await createTable(client, stage)
  const { early, last } = await streamAndAsk(client, stage, ledger)
  if (early) await travelBack(client, stage, early)
  if (last) await retryBatch(client, stage, ledger, last)
  const { checked, failed } = stage
  await stage.title(failed === 0 ? `All ${checked} checks held.` : `${failed} of ${checked} checks FAILED.`)
}

async function createTable(client: Client, stage: Stage): Promise<void> {
  await stage.step('A table, made with SQL')
  await client.sql(
    `CREATE TABLE ${TOUR_TABLE} (viewed_at TIMESTAMP, url STRING, user_id BIGINT, status INT, bytes BIGINT, referrer STRING)`,
  )
  const { version, columns } = await client.detail(TOUR_TABLE)
  await stage.check(columns.length === 6, `${TOUR_TABLE} is there, with ${columns.length} columns, at version ${version}`)
}

interface Streamed {
  /** An answer from the first half of the stream. */
  readonly early: TopUrls | undefined
  readonly last: Sent | undefined
}

async function streamAndAsk(client: Client, stage: Stage, ledger: Ledger): Promise<Streamed> {
  await stage.step(
    `${humanCount(ROWS)} page views from ${PRODUCERS} producers, ${humanCount(BATCH_ROWS)} a request; the top pages are asked for meanwhile`,
  )
  const startedAt = performance.now()
  const batches = generatePageViews({ seed: SEED, rows: ROWS, batchRows: BATCH_ROWS })
  const streaming = startStreaming(client, batches, PRODUCERS, ledger)
  const [answers, compaction] = await Promise.all([
    askWhile(client, stage, ledger, streaming),
    compactMidway(client, stage, ledger, streaming),
    streaming.done,
  ])
  const elapsedMs = performance.now() - startedAt
  await reportStream(client, stage, ledger, answers, streaming, elapsedMs)
  await reportCompaction(client, stage, compaction)
  return { early: answers.first, last: streaming.last }
}

interface Answers {
  readonly count: number
  readonly inexact: number
  /** Answers older than an ack that had come before the question. */
  readonly stale: number
  readonly first: TopUrls | undefined
}

const LINE_EVERY_ROWS = 25_000

/** Asks again and again while the producers stream, and compares each answer once the batches on their way then are acknowledged. */
async function askWhile(client: Client, stage: Stage, ledger: Ledger, streaming: Streaming): Promise<Answers> {
  const answers = { count: 0, inexact: 0, stale: 0, first: undefined as TopUrls | undefined }
  let nextLineAt = LINE_EVERY_ROWS
  while (!streaming.isDone) {
    const acknowledged = ledger.version
    const answer = await askTopUrls(client)
    await streaming.settleInFlight()
    const exact = isExact(answer, ledger)
    answers.count++
    if (!exact) answers.inexact++
    if (answer.version < acknowledged) answers.stale++
    if (exact && answer.total < nextLineAt) continue
    nextLineAt = answer.total - (answer.total % LINE_EVERY_ROWS) + LINE_EVERY_ROWS
    if (answer.total < ROWS / 2) answers.first ??= answer
    const top = answer.top.slice(0, 2).map(({ url, views }) => `${url} (${humanCount(views)})`)
    const count = `version ${answer.version}: ${humanCount(answer.total)} views`
    await stage.check(exact, `${count.padEnd(28)}top ${top.join(', ')}`)
  }
  return answers
}

interface Compaction {
  readonly filesBefore: number
  readonly bytesBefore: number
  readonly filesAfter: number
  readonly bytesAfter: number
  readonly version: number
  readonly filesRemoved: number
  readonly filesAdded: number
  readonly elapsedMs: number
}

/** Compacts once half of the views are in; the producers do not notice. */
async function compactMidway(client: Client, stage: Stage, ledger: Ledger, streaming: Streaming): Promise<Compaction> {
  while (ledger.rows < ROWS / 2 && !streaming.isDone) await new Promise((resolve) => setTimeout(resolve, 5))
  const before = await client.detail(TOUR_TABLE)
  const { version, filesRemoved, filesAdded, elapsedMs } = await client.optimize(TOUR_TABLE)
  const after = await client.detail(TOUR_TABLE)
  await stage.say(
    `    compacted meanwhile: ${counted(filesRemoved, 'file')} → ${filesAdded}, in version ${version}, ${humanElapsed(elapsedMs)}`,
  )
  return {
    filesBefore: before.files,
    bytesBefore: before.bytes,
    filesAfter: after.files,
    bytesAfter: after.bytes,
    version,
    filesRemoved,
    filesAdded,
    elapsedMs,
  }
}

async function reportStream(
  client: Client,
  stage: Stage,
  ledger: Ledger,
  answers: Answers,
  streaming: Streaming,
  elapsedMs: number,
): Promise<void> {
  const final = await askTopUrls(client)
  const waits = streaming.waits === 0 ? '' : `, ${streaming.waits} of them after a wait`
  await stage.check(
    final.total === ROWS && ledger.rows === ROWS && isExact(final, ledger),
    `all ${humanCount(ROWS)} views are there: ${ledger.acks} requests${waits}, ${ledger.commits} commits, none failed`,
  )
  await stage.check(
    answers.count > 0 && answers.inexact === 0,
    `${answers.count - answers.inexact} of ${answers.count} answers were exactly what was acknowledged at their version`,
  )
  await stage.check(
    answers.stale === 0,
    `${answers.count - answers.stale} of ${answers.count} knew every view acknowledged before the question`,
  )
  const perSecond = Math.round(ROWS / (elapsedMs / 1_000))
  await stage.say(
    `    ${humanElapsed(elapsedMs)}: ${humanCount(perSecond)} views a second, durable and visible, with all the questions beside them`,
  )
}

async function reportCompaction(client: Client, stage: Stage, compaction: Compaction): Promise<void> {
  const { version, filesBefore, bytesBefore, filesAfter, bytesAfter, filesRemoved, filesAdded } = compaction
  await stage.step('Compaction, in the middle of all that')
  await stage.check(
    filesRemoved > filesAdded && filesAfter < filesBefore,
    `${counted(filesBefore, 'file')} (${humanBytes(bytesBefore)}) before, ${filesAfter} (${humanBytes(bytesAfter)}) after, those that arrived meanwhile among them`,
  )
  const [earlier, later] = [await askTopUrls(client, version - 1), await askTopUrls(client, version)]
  await stage.check(
    isSameAnswer(earlier, later) && later.version === version,
    `versions ${version - 1} and ${version}, right before and after, give the same answer: ${humanCount(later.total)} views`,
  )
}

async function travelBack(client: Client, stage: Stage, early: TopUrls): Promise<void> {
  await stage.step('Time travel')
  const again = await askTopUrls(client, early.version)
  await stage.check(
    isSameAnswer(again, early) && again.version === early.version,
    `version ${early.version} still answers as it did then: ${humanCount(again.total)} views, top ${again.top[0]?.url} (${humanCount(again.top[0]?.views ?? 0)})`,
  )
}

async function retryBatch(client: Client, stage: Stage, ledger: Ledger, last: Sent): Promise<void> {
  const { producer, sequence, batch, version } = last
  await stage.step('A batch sent twice')
  const ack = await client.post(TOUR_TABLE, batch.ndjson, producer, sequence)
  await stage.check(
    ack.replayed && ack.version === version && ack.rows === batch.rows,
    `batch ${sequence} of ${producer} again: the first answer again (version ${ack.version}), replayed: ${ack.replayed}`,
  )
  const answer = await askTopUrls(client)
  await stage.check(answer.total === ledger.rows && isExact(answer, ledger), `nothing doubled: ${humanCount(answer.total)} views`)
}
