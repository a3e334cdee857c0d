// What deltaic does to whole tables: others read the same rows after it, go on from there, and are read.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { Lakehouse } from '../../src/index.js'
import { digestOfArrow } from '../support/arrow-digest.js'
import { describeWhen } from '../support/needs.js'
import { peers, readWithSpark, sharedSpark, startReader } from '../support/peers.js'
import { rowsOf } from '../support/world.js'
import { done } from './engines.js'
import { digestAt, freshName, onDisk, sharedLake } from './lakes.js'

const TIMEOUT = { timeout: 240_000 }
const COLUMNS = 'id BIGINT, url STRING, day DATE'
const ROWS = "SELECT i AS id, 'u' || i % 7 AS url, DATE '2026-11-01' + (i % 3)::INTEGER AS day"

interface Case {
  readonly what: string
  readonly create?: string
  /** What is done to `t`, in deltaic's SQL. */
  readonly statements: readonly string[]
  /** What Spark calls the last of it in its history; not told where the operation leaves no entry. */
  readonly operation?: string
  /** delta-rs refuses tables with features that it does not have. */
  readonly deltalake?: false
}

const CASES: readonly Case[] = [
  { what: 'OPTIMIZE', statements: ['OPTIMIZE t'], operation: 'OPTIMIZE' },
  { what: 'OPTIMIZE … ZORDER BY', statements: ['OPTIMIZE t ZORDER BY (url, id)'], operation: 'OPTIMIZE' },
  {
    what: 'OPTIMIZE of a clustered table',
    create: `(${COLUMNS}) CLUSTER BY (url, day)`,
    statements: ['OPTIMIZE t FULL'],
    operation: 'OPTIMIZE',
    deltalake: false,
  },
  {
    what: 'VACUUM',
    create: `(${COLUMNS}) TBLPROPERTIES ('delta.deletedFileRetentionDuration' = 'interval 0 hours')`,
    statements: ['DELETE FROM t WHERE id < 3', 'OPTIMIZE t', 'VACUUM t'],
    operation: 'VACUUM END',
  },
  { what: 'RESTORE', statements: ['DELETE FROM t WHERE id < 9', 'RESTORE TABLE t TO VERSION AS OF 2'], operation: 'RESTORE' },
  {
    what: 'REORG … APPLY (PURGE)',
    create: `(${COLUMNS}) TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')`,
    statements: ['DELETE FROM t WHERE id % 5 = 0', 'REORG TABLE t APPLY (PURGE)'],
    operation: 'REORG',
  },
  { what: 'TRUNCATE', statements: ['TRUNCATE TABLE t'], operation: 'DELETE' },
  { what: 'CHECKPOINT', statements: ['CHECKPOINT t'] },
]

describeWhen(peers.available('spark'), peers.reason('spark'), 'a table after deltaic’s', () => {
  const spark = sharedSpark()
  const open = sharedLake(onDisk)
  const deltalake = startReader('deltalake')
  const sql = async (text: string) => done(await (await spark()).run({ sql: text }))['rows'] as Record<string, unknown>[]
  const uriOf = (name: string) => join(onDisk.root, name)

  async function made(lake: Lakehouse, create = `(${COLUMNS}) PARTITIONED BY (day)`) {
    const name = freshName('upkeep')
    await lake.sql(`CREATE TABLE ${name} ${create}`)
    for (const from of [0, 10, 20]) await lake.sql(`INSERT INTO ${name} ${ROWS} FROM range(${from}, ${from + 10}) r(i)`)
    return name
  }

  /** Spark, and delta-rs where it can, see what we see; then Spark appends, and we see that. */
  async function agree(lake: Lakehouse, name: string, others = true) {
    const digest = await digestAt(lake.table(name).snapshot())
    expect((await readWithSpark(await spark(), { uri: uriOf(name) })).digest).toBe(digest)
    if (others) expect((await deltalake.read({ uri: uriOf(name) })).digest).toBe(digest)
    const before = Number((await rowsOf(lake, `SELECT count(*) AS n FROM ${name}`))[0]?.['n'])
    await sql(`INSERT INTO delta.\`${uriOf(name)}\` VALUES (1000, 'spark', DATE '2026-11-09')`)
    expect((await readWithSpark(await spark(), { uri: uriOf(name) })).digest).toBe(await digestAt(lake.table(name).snapshot()))
    expect(Number((await rowsOf(lake, `SELECT count(*) AS n FROM ${name}`))[0]?.['n'])).toBe(before + 1)
  }

  it.each(CASES.map((one) => [one.what, one] as const))('%s', TIMEOUT, async (_, one) => {
    const { create, statements, operation, deltalake: others } = one
    const lake = await open()
    const name = await made(lake, create)
    for (const statement of statements) await lake.sql(statement.replace(/\bt\b/, name))
    if (operation !== undefined)
      expect((await sql(`DESCRIBE HISTORY delta.\`${uriOf(name)}\` LIMIT 1`))[0]?.['operation']).toBe(operation)
    await agree(lake, name, others ?? peers.available('deltalake'))
  })

  it(
    'the state of a view, refreshed with deletion vectors, is to Spark and delta-rs the definition over the source',
    TIMEOUT,
    async () => {
      const lake = await open()
      const source = await made(lake, `(${COLUMNS}) TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')`)
      const view = freshName('view')
      const definition = (from: string) =>
        `SELECT url, count(*) AS rows, CAST(sum(id) AS BIGINT) AS total, max(day) AS last FROM ${from} GROUP BY url`
      await lake.createView(view, { as: definition(source) })
      await lake.sql(
        `INSERT INTO ${source} VALUES (40, 'u3', DATE '2026-11-08'), (41, 'new', NULL); DELETE FROM ${source} WHERE id = 5`,
      )
      expect(await lake.refreshView(view)).toMatchObject({ how: 'changes', filesMarked: 1 })
      const table = (name: string) => `delta.\`${uriOf(name)}\``
      const [stored, fresh] = [`SELECT url, rows, total, last FROM ${table(view)}`, definition(table(source))]
      expect(await sql(`(${stored} EXCEPT ALL ${fresh}) UNION ALL (${fresh} EXCEPT ALL ${stored})`)).toEqual([])
      if (!peers.available('deltalake')) return
      const { digest } = await deltalake.read({ uri: uriOf(view), sql: 'SELECT url, rows, total, last FROM t' })
      expect(digest).toBe(await digestOfArrow(await (await lake.sql(definition(source))).toArrow()))
    },
  )

  it('SHALLOW CLONE', TIMEOUT, async () => {
    const lake = await open()
    const source = await made(lake)
    const name = freshName('clone')
    await lake.sql(`CREATE TABLE ${name} SHALLOW CLONE ${source} VERSION AS OF 2`)
    await agree(lake, name, false)
    await agree(lake, source, false)
  })

  it('CONVERT TO DELTA', TIMEOUT, async () => {
    const lake = await open()
    const name = freshName('converted')
    mkdirSync(uriOf(name), { recursive: true })
    const parquet = `SELECT id, concat('u', id % 7) AS url, date_add(DATE '2026-11-01', CAST(id % 3 AS INT)) AS day FROM range(20)`
    done(
      await (await spark()).run({
        write: { path: uriOf(name), sql: parquet, format: 'parquet', mode: 'overwrite', partitionBy: ['day'] },
      }),
    )
    await lake.sql(`CONVERT TO DELTA parquet.\`${uriOf(name)}\` PARTITIONED BY (day DATE)`)
    await agree(lake, name)
  })
})
