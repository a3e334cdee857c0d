// Spark commits between our reading and our committing: its commits count as ours do.
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { LocalStore } from '../../src/storage/local.js'
import { tombstoneOf } from '../../src/table/tombstone.js'
import type { Transaction } from '../../src/table/transaction.js'
import { describeWhen } from '../support/needs.js'
import { peers, sharedSpark } from '../support/peers.js'
import { addOf, openWorld } from '../support/world.js'
import { done } from './engines.js'

const world = await openWorld()
const TIMEOUT = { timeout: 240_000 }

const added = addOf('p=1/ours', { partitionValues: { p: '1' }, stats: '{"numRecords":1}' })
const filesOf = async (t: Transaction, condition?: string) => (await t.snapshot.files(condition)).files
const P1 = 'part.p = 1'

const OURS: Readonly<Record<string, (t: Transaction) => Promise<unknown>>> = {
  append: async (t) => t.add([added]),
  overwrite: async (t) =>
    t
      .readWhole()
      .remove((await filesOf(t)).map((f) => tombstoneOf(f, 1, true)))
      .add([added]),
  'delete p=1': async (t) => {
    const files = await filesOf(t, P1)
    return t
      .readWhere(P1)
      .readFiles(files)
      .remove(files.map((f) => tombstoneOf(f, 1, true)))
  },
  'optimize p=1': async (t) => {
    const files = await filesOf(t, P1)
    return t.remove(files.map((f) => tombstoneOf(f, 1, false))).add([{ ...added, dataChange: false }])
  },
  'set property': async (t) => t.setMetadata({ ...t.metadata, configuration: { ...t.metadata.configuration, note: 'x' } }),
}

/** What Spark did, and how each of ours ends after it, at WriteSerializable. */
const WINNERS: readonly (readonly [string, (t: string) => string, Readonly<Record<keyof typeof OURS, string>>])[] = [
  ['INSERT', (t) => `INSERT INTO ${t} VALUES (5, 1)`, {}],
  [
    'INSERT … SELECT from itself',
    (t) => `INSERT INTO ${t} SELECT id + 10, p FROM ${t}`,
    { overwrite: 'concurrentAppend', 'delete p=1': 'concurrentAppend' },
  ],
  [
    'DELETE by vector in p=1',
    (t) => `DELETE FROM ${t} WHERE id = 1`,
    { overwrite: 'concurrentDeleteRead', 'delete p=1': 'concurrentDeleteRead', 'optimize p=1': 'concurrentDeleteDelete' },
  ],
  ['DELETE of p=2', (t) => `DELETE FROM ${t} WHERE p = 2`, { overwrite: 'concurrentDeleteRead' }],
  [
    'UPDATE in p=1',
    (t) => `UPDATE ${t} SET id = 9 WHERE id = 2`,
    { overwrite: 'concurrentAppend', 'delete p=1': 'concurrentAppend', 'optimize p=1': 'concurrentDeleteDelete' },
  ],
  [
    'OPTIMIZE',
    (t) => `OPTIMIZE ${t} WHERE p = 1`,
    { overwrite: 'concurrentDeleteDelete', 'delete p=1': 'concurrentDeleteDelete', 'optimize p=1': 'concurrentDeleteDelete' },
  ],
  [
    'ALTER TABLE … SET TBLPROPERTIES',
    (t) => `ALTER TABLE ${t} SET TBLPROPERTIES ('a' = 'b')`,
    Object.fromEntries(Object.keys(OURS).map((name) => [name, 'metadataChanged'])),
  ],
  [
    'ALTER TABLE … ADD COLUMNS',
    (t) => `ALTER TABLE ${t} ADD COLUMNS (more STRING)`,
    Object.fromEntries(Object.keys(OURS).map((name) => [name, 'metadataChanged'])),
  ],
]

const folder = await mkdtemp(join(tmpdir(), 'deltaic-conflicts-'))
afterAll(() => rm(folder, { recursive: true, force: true }))

describeWhen(peers.available('spark'), peers.reason('spark'), 'a commit of ours after one of Spark’s', () => {
  const spark = sharedSpark()

  it('passes or conflicts as one after our own would', TIMEOUT, async () => {
    const sql = async (text: string) => done(await (await spark()).run({ sql: text }))
    for (const [at, [winner, statement, expected]] of WINNERS.entries()) {
      const path = join(folder, `t${at}`)
      const t = `delta.\`${path}\``
      await sql(`CREATE TABLE ${t} (id INT, p INT) USING delta PARTITIONED BY (p)`)
      await sql(`INSERT INTO ${t} SELECT /*+ COALESCE(1) */ * FROM VALUES (1, 1), (2, 1), (3, 2), (4, 2)`)
      await sql(`INSERT INTO ${t} VALUES (7, 1)`)
      await sql(`ALTER TABLE ${t} SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')`)
      await sql(statement(t))
      for (const [name, stage] of Object.entries(OURS)) {
        const copy = join(folder, `t${at}-${name.replace(/\W/g, '')}`)
        await cp(path, copy, { recursive: true })
        const table = world.table(new LocalStore(copy))
        const transaction = await table.transaction(await table.snapshot({ version: 3 }))
        await stage(transaction)
        const outcome = await transaction.commit()
        const ended = outcome.kind === 'committed' ? 'committed' : outcome.conflict.reason
        expect([winner, name, ended]).toEqual([winner, name, expected[name] ?? 'committed'])
        await table.close()
      }
    }
  })
})
