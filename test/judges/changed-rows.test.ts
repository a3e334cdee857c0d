// Tables whose rows deltaic deleted and updated: other engines see the same rows, changes and row ids at every version, and
// go on deleting from them, and deltaic sees what they did.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { type Lakehouse, openLakehouse } from '../../src/index.js'
import { digestOfArrow } from '../support/arrow-digest.js'
import { describeWhen } from '../support/needs.js'
import { peers, readWithSpark, sharedSpark, startReader } from '../support/peers.js'
import { rowsOf } from '../support/world.js'
import { done } from './engines.js'

const folder = mkdtempSync(join(tmpdir(), 'deltaic-changed-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const options = { threads: 2, memoryLimitBytes: 2 ** 29 }

const BOTH = [true, false]
const KINDS = [
  ...BOTH.flatMap((vectors) => BOTH.map((feed) => ({ vectors, feed, mode: 'none' }))),
  ...['name', 'id'].flatMap((mode) => BOTH.map((vectors) => ({ vectors, feed: true, mode }))),
].map((kind) => ({ ...kind, name: `t_${kind.vectors}_${kind.feed}_${kind.mode}` }))

/** Tables by deltaic, each with the versions 0 to 5. */
async function changedLake(root: string, tracking: boolean): Promise<Lakehouse> {
  const lake = await openLakehouse(root, options)
  for (const { name, vectors, feed, mode } of KINDS) {
    const properties = {
      enableDeletionVectors: vectors,
      enableChangeDataFeed: feed,
      'columnMapping.mode': mode,
      enableRowTracking: tracking,
    }
    const list = Object.entries(properties).map(([key, value]) => `'delta.${key}' = '${value}'`)
    await lake.sql(`CREATE TABLE ${name} (id BIGINT, v STRING, p STRING) PARTITIONED BY (p) TBLPROPERTIES (${list.join(', ')})`)
    await lake.sql(`INSERT INTO ${name} SELECT i, 'v' || i, (i % 2)::VARCHAR FROM range(40) r(i)`)
    await lake.sql(`DELETE FROM ${name} WHERE id IN (2, 3)`)
    await lake.sql(`DELETE FROM ${name} WHERE id = 4`)
    await lake.sql(`UPDATE ${name} SET v = 'new', p = '2' WHERE id IN (6, 7)`)
    await lake.sql(`UPDATE ${name} SET v = v || '!' WHERE id > 30`)
  }
  return lake
}

async function digestOf(lake: Lakehouse, name: string, version?: number): Promise<string> {
  const batches = []
  for await (const batch of (await lake.table(name).snapshot({ version })).scan().batches()) batches.push(batch)
  return digestOfArrow(batches)
}

const changesOf = async (lake: Lakehouse, name: string, from: number) =>
  (
    await rowsOf(
      lake,
      `SELECT concat_ws('|', _change_type, _commit_version, id, v, p) AS told FROM table_changes('${name}', ${from})`,
    )
  )
    .map(({ told }) => String(told))
    .toSorted()

describeWhen(peers.available('deltalake'), peers.reason('deltalake'), 'rows that deltaic changed, read by deltalake', () => {
  it('are the same at every version', async () => {
    await using lake = await changedLake(join(folder, 'deltalake'), false)
    const reader = startReader('deltalake')
    try {
      for (const { name } of KINDS)
        for (const version of [2, 3, 4, 5])
          expect((await reader.read({ uri: join(folder, 'deltalake', name), version })).digest, `${name}@${version}`).toBe(
            await digestOf(lake, name, version),
          )
    } finally {
      await reader.close()
    }
  }, 240_000)
})

describeWhen(peers.available('spark'), peers.reason('spark'), 'rows that deltaic changed, read by Spark', () => {
  const root = join(folder, 'spark')
  const spark = sharedSpark()
  const sql = async (text: string) => done(await (await spark()).run({ sql: text, limit: 1000 }))
  /** The texts of the only column. */
  const texts = async (text: string) =>
    ((await sql(text))['rows'] as readonly Record<string, string>[]).map((row) => String(Object.values(row)[0]))

  it.each(KINDS)(
    'are the same at every version, with their changes and ids, and after its own deletes (vectors: $vectors, feed: $feed, mapping: $mode)',
    async ({ name, feed, vectors }) => {
      await using lake = await changed()
      const uri = join(root, name)
      const isSame = async (version?: number) =>
        expect((await readWithSpark(await spark(), { uri, version })).digest, `${name}@${version}`).toBe(
          await digestOf(lake, name, version),
        )
      await isSame(5)
      await isSame(3)
      if (feed) {
        const told = `SELECT concat_ws('|', _change_type, _commit_version, id, v, p) AS told FROM table_changes_by_path('${uri}', 1)`
        expect((await texts(told)).toSorted()).toEqual(await changesOf(lake, name, 1))
      }
      const ids = await texts(
        `SELECT concat_ws('|', id, _metadata.row_id, _metadata.row_commit_version) AS told FROM delta.\`${uri}\` ORDER BY id`,
      )
      const first = await texts(
        `SELECT concat_ws('|', id, _metadata.row_id) AS told FROM delta.\`${uri}\` VERSION AS OF 1 ORDER BY id`,
      )
      const lastChanged = (id: number) => (id > 30 ? 5 : id === 6 || id === 7 ? 4 : 1)
      const left = first.filter((row) => ![2, 3, 4].includes(Number(row.split('|')[0])))
      expect(ids).toEqual(left.map((row) => `${row}|${lastChanged(Number(row.split('|')[0]))}`))

      await sql(`DELETE FROM delta.\`${uri}\` WHERE id IN (8, 9)`)
      await lake.sql(`DELETE FROM ${name} WHERE id IN (10, 11)`)
      await sql(`UPDATE delta.\`${uri}\` SET v = 'spark' WHERE id IN (12, 31)`)
      await lake.sql(`UPDATE ${name} SET v = v || '?' WHERE id IN (12, 13)`)
      await isSame()
      if (feed)
        expect((await changesOf(lake, name, 6)).filter((row) => /\|[68]\|/.test(row.slice(0, row.indexOf('|') + 3)))).toEqual([
          'delete|6|8|v8|0',
          'delete|6|9|v9|1',
          'update_postimage|8|12|spark|0',
          'update_postimage|8|31|spark|1',
          'update_preimage|8|12|v12|0',
          'update_preimage|8|31|v31!|1',
        ])
      const { rows } = await sql(`DESCRIBE HISTORY delta.\`${uri}\``)
      const history = (rows as readonly Record<string, unknown>[]).map(({ operation, operationMetrics }) =>
        JSON.stringify([operation, operationMetrics]),
      )
      expect(history).toContainEqual(expect.stringMatching(/^."DELETE".*numDeletedRows[^0-9]+2\b/))
      expect(history).toContainEqual(expect.stringMatching(/^."UPDATE".*numUpdatedRows[^0-9]+2\b/))
      const marked = (await (await lake.table(name).snapshot()).files()).some((file) => file.deletionVector)
      expect(marked).toBe(vectors)
    },
    240_000,
  )

  let made: Promise<void> | undefined
  async function changed(): Promise<Lakehouse> {
    made ??= changedLake(root, true).then(async (lake) => lake.close())
    await made
    return openLakehouse(root, options)
  }
})
