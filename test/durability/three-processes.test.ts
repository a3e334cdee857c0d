import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { openLakehouse } from '../../src/index.js'
import { useCli } from '../cli/cli.js'
import { describeWhen } from '../support/needs.js'
import { type PeerClient, peers, startDeltalake } from '../support/peers.js'
import { rowsOf } from '../support/world.js'
import { Producers } from './producers.js'

const SECONDS = Number(process.env['DELTAIC_TEST_STREAM_SECONDS'] ?? 3)
const cli = useCli()

async function serve(...words: readonly string[]): Promise<string> {
  const running = cli.start(['serve', '--port', '0', ...words])
  const [, url = ''] = await running.says(/ at (http:\/\/[^;\s]+);/)
  return url
}

/** Runs a statement until it is done; one that lost to others, or whose end is not known, is sent again. */
async function statement(url: string, sql: string): Promise<void> {
  for (;;) {
    const headers = { 'content-type': 'text/plain' }
    const answer = await fetch(`${url}/v1/sql`, { method: 'POST', headers, body: sql })
    const text = await answer.text()
    if (answer.ok) return
    expect([409, 429, 503], text).toContain(answer.status)
    await sleep(50)
  }
}

interface Change {
  readonly remainder: number
  readonly below: number
  readonly v: string | undefined
}

/** What is left of the rows of producers: nobody changes rows that were not there, all of them, when a change began. */
function model(ids: readonly number[], changes: readonly Change[]): Map<number, string | undefined> {
  const rows = new Map<number, string | undefined>(ids.map((id) => [id, undefined]))
  for (const { remainder, below, v } of changes)
    for (const id of ids) {
      if (id >= below || id % 10 !== remainder || !rows.has(id)) continue
      if (v === undefined) rows.delete(id)
      else rows.set(id, v)
    }
  return rows
}

describe('three processes stream into, change and compact one table', () => {
  const timeout = 120_000 + SECONDS * 4000

  it('which is what all of them did, in the end', { timeout }, async () => {
    await streamChangeCompact('alone', undefined)
  })

  describeWhen(peers.available('deltalake'), peers.reason('deltalake'), 'while delta-rs appends to it', () => {
    it('which is what all of them did, in the end', { timeout }, async () => {
      await using deltalake = await startDeltalake(cli.root())
      await streamChangeCompact('beside', deltalake)
    })
  })
})

async function streamChangeCompact(t: string, deltalake: PeerClient | undefined): Promise<void> {
  const lake = await openLakehouse(cli.root())
  await lake.sql(
    `CREATE TABLE ${t} (id BIGINT, v STRING) TBLPROPERTIES ('delta.enableDeletionVectors' = 'false', 'deltaic.maintenance.minFiles' = '4')`,
  )
  const [streaming, changing, compacting] = await Promise.all([
    serve(),
    serve('--maintenance', 'off'),
    serve('--maintenance', 'off'),
  ])
  const producers = new Producers(4, () => streaming, t)
  const endsAtMs = performance.now() + SECONDS * 1000
  const isOn = () => performance.now() < endsAtMs
  const changes: Change[] = []
  const change = async () => {
    for (let turn = 0; isOn(); turn++) {
      const done = { remainder: turn % 10, below: producers.ackedBelow, v: turn % 3 === 0 ? undefined : `changed-${turn}` }
      const where = `WHERE id > 0 AND id < ${done.below} AND id % 10 = ${done.remainder}`
      await statement(changing, done.v === undefined ? `DELETE FROM ${t} ${where}` : `UPDATE ${t} SET v = '${done.v}' ${where}`)
      changes.push(done)
      await sleep(30)
    }
  }
  const compact = async () => {
    while (isOn()) {
      await statement(compacting, `OPTIMIZE ${t}`)
      await sleep(100)
    }
  }
  let foreign = 0
  const append = async () => {
    while (deltalake && isOn()) {
      const answer = await deltalake.run({ op: 'append', table: t, rows: [{ id: -1 - foreign, v: 'foreign' }] })
      if (answer.ok) foreign++
      await sleep(200)
    }
  }
  await Promise.all([change(), compact(), append()])
  await producers.finish()

  expect(producers.refusals).toEqual([])
  const rows = await rowsOf(lake, `SELECT id, v FROM ${t}`)
  const mine = rows.filter(({ id }) => (id as number) > 0)
  const expected = model(
    producers.batches.flatMap(({ ids }) => ids),
    changes,
  )
  expect(mine.length).toBe(expected.size)
  for (const { id, v } of mine) {
    const wanted = expected.get(id as number)
    expect(expected.has(id as number), `row ${String(id)}`).toBe(true)
    if (wanted !== undefined) expect(v, `row ${String(id)}`).toBe(wanted)
  }
  expect(rows.length - mine.length).toBe(foreign)
  expect((await lake.table(t).fsck()).problems).toEqual([])
  console.log(`streamed ${producers.acked.length} batches, ${changes.length} changes, ${foreign} commits of delta-rs`)
  await lake.close()
}
