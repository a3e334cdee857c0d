// Spark with Delta Lake reads what deltaic writes, and deltaic reads, appends to and compacts what Spark writes.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { StructType } from '../../src/index.js'
import { type DeltaValue, digestOfRows } from '../support/digest.js'
import { describeWhen } from '../support/needs.js'
import { type PeerClient, peers, sharedSpark, startDeltalake } from '../support/peers.js'
import { done, hadoop, located, sparkJudge } from './engines.js'
import { describeEachPlace, digestAt, freshName, onDisk, type Place, sharedLake } from './lakes.js'
import { type ForeignTable, readsAndAppendsToOurs, readsOursFromACheckpoint, sparkColumns, writesForUs } from './round-trips.js'
import { skipsNoWantedRow } from './statistics.js'
import { run } from './table-kinds.js'

const TIMEOUT = { timeout: 180_000 }
const s3 = [peers.available('spark-s3a'), peers.reason('spark-s3a')] as const

const ROWS = (from: number) => `
  SELECT CAST(id AS INT) AS id, IF(id % 3 = 0, NULL, concat('part ', char(64 + id % 3), '/ü')) AS part, id / 8 AS score,
    timestamp_micros(1 - id) AS moment, date_add(DATE '1970-01-01', -CAST(id AS INT)) AS day,
    named_struct('x', id, 'tags', array('a', NULL)) AS inside, map('k', id) AS ages, CAST(id / 7 AS DECIMAL(20, 3)) AS price,
    encode(concat('é', id), 'UTF-8') AS bytes
  FROM range(${from}, ${from + 6})`

type Sql = (text: string) => Promise<Record<string, unknown>>

function foreignTables(sql: Sql): readonly ForeignTable[] {
  const make = (clauses: string, after: (t: string) => readonly string[]) => async (uri: string) => {
    const t = `delta.\`${hadoop(uri)}\``
    await sql(`CREATE TABLE ${t} USING delta ${clauses} AS ${ROWS(0)}`)
    for (const statement of after(t)) await sql(statement)
  }
  return [
    {
      kind: 'plain',
      make: make('', (t) => [`INSERT INTO ${t} ${ROWS(10)}`, `DELETE FROM ${t} WHERE id = 3`]),
      operations: ['DELETE', 'WRITE', 'CREATE TABLE AS SELECT'],
    },
    {
      kind: 'partitioned, with a checkpoint',
      make: make(`PARTITIONED BY (part, day) TBLPROPERTIES ('delta.checkpointInterval' = '2')`, (t) => [
        `INSERT INTO ${t} ${ROWS(10)}`,
        `INSERT INTO ${t} ${ROWS(20)}`,
        `INSERT INTO ${t} ${ROWS(30)}`,
      ]),
      operations: ['WRITE', 'WRITE', 'WRITE', 'CREATE TABLE AS SELECT'],
    },
    {
      kind: 'of times without a zone, with a column that takes no NULL',
      make: async (uri) => {
        const t = `delta.\`${hadoop(uri)}\``
        await sql(`CREATE TABLE ${t} (id INT NOT NULL, moment TIMESTAMP_NTZ) USING delta`)
        await sql(`INSERT INTO ${t} VALUES (1, TIMESTAMP_NTZ '1969-12-31 23:59:59.999999'), (2, NULL)`)
      },
      operations: ['WRITE', 'CREATE TABLE'],
    },
  ]
}

describeWhen(peers.available('spark'), peers.reason('spark'), 'spark', () => {
  const spark = sharedSpark()
  const judge = async () => sparkJudge(await spark())
  const sql: Sql = async (text) => done(await (await spark()).run({ sql: text }))

  describeEachPlace(
    (place) => {
      readsAndAppendsToOurs(place, judge, {
        expectSchema: (answer, schema) => expect(answer.columns).toEqual(sparkColumns(schema)),
      })
      writesForUs(place, judge, foreignTables(sql))
      takesTurns(place, spark)
    },
    { servers: 1, s3 },
  )

  describe('with deltaic', () => {
    const lake = sharedLake(onDisk)
    readsOursFromACheckpoint(judge)
    skipsNoWantedRow(onDisk, judge, ['='])

    it('sees nullability as deltaic declared it, and refuses a NULL', TIMEOUT, async () => {
      const name = freshName('strict')
      await run(await lake(), `CREATE TABLE ${name} (id INT NOT NULL, note STRING COMMENT 'free text') COMMENT 'strict'`)
      const uri = located((await lake()).table(name).uri)
      const { metaData } = done(await (await spark()).run({ log: uri })) as {
        metaData: { schemaString: string; description: string }
      }
      expect(JSON.parse(metaData.schemaString)).toEqual((await (await lake()).table(name).snapshot()).schema)
      expect(metaData.description).toBe('strict')
      const refused = await (await spark()).run({ sql: `INSERT INTO delta.\`${uri}\` VALUES (NULL, 'x')` })
      expect(refused).toMatchObject({
        ok: false,
        error: { message: expect.stringContaining('DELTA_NOT_NULL_CONSTRAINT_VIOLATED') },
      })
    })

    it('counts deltaic’s batches as its own, and deltaic Spark’s', TIMEOUT, async () => {
      const name = freshName('batches')
      await run(await lake(), `CREATE TABLE ${name} (id BIGINT) TBLPROPERTIES ('delta.checkpointInterval' = '1')`)
      const table = (await lake()).table(name)
      const byDeltaic = async (version: number) =>
        table.append({ sql: `SELECT ${version}` }, { txn: { appId: 'producer', version } })
      const bySpark = async (version: number) => {
        const options = { txnAppId: 'producer', txnVersion: String(version) }
        done(await (await spark()).run({ write: { path: located(table.uri), sql: `SELECT ${version}L AS id`, options } }))
      }
      await byDeltaic(7)
      await bySpark(7)
      await bySpark(8)
      expect(await byDeltaic(8)).toMatchObject({ replayed: true })
      expect(await byDeltaic(9)).toMatchObject({ replayed: false })
      await bySpark(9)
      const rows = [7, 8, 9].map((id) => ({ id }))
      expect(await digestAt(table.snapshot())).toBe(digestOfRows(idSchema, rows))
    })

    it('streams from a table of deltaic into another', TIMEOUT, async () => {
      const [from, to] = [freshName('stream'), freshName('stream')]
      await run(await lake(), `CREATE TABLE ${from} (id BIGINT); CREATE TABLE ${to} (id BIGINT)`)
      const stream = async () => {
        const uris = [from, to].map(async (name) => located((await lake()).table(name).uri))
        const [source, target] = await Promise.all(uris)
        done(
          await (await spark()).run({
            stream: { from: source, to: target, checkpoint: join(onDisk.root, '..', `${from}-state`) },
          }),
        )
      }
      const rows: DeltaValue[] = []
      for (const id of [1, 2]) {
        await (await lake()).table(from).append({ sql: `SELECT ${id}` })
        rows.push({ id })
        await stream()
        await (await lake()).table(to).append({ sql: `SELECT ${id + 10}` })
        rows.push({ id: id + 10 })
        expect(await digestAt((await lake()).table(to).snapshot())).toBe(digestOfRows(idSchema, rows))
      }
      const operations = (await (await lake()).table(to).history()).map((entry) => entry.operation)
      expect(operations).toEqual(['WRITE', 'STREAMING UPDATE', 'WRITE', 'STREAMING UPDATE', 'CREATE TABLE'])
    })

    it.each<[feature: string, access: 'read' | 'write', properties: string, use: (t: string) => string]>([
      [
        'icebergCompatV1',
        'write',
        `'delta.columnMapping.mode' = 'name', 'delta.enableIcebergCompatV1' = 'true'`,
        (t) => `ALTER TABLE ${t} RENAME COLUMN name TO label`,
      ],
    ])(
      'makes a table with %s, which deltaic refuses to %s and leaves as it is',
      TIMEOUT,
      async (feature, access, properties, use) => {
        const name = freshName(feature)
        const table = (await lake()).table(name)
        const t = `delta.\`${located(table.uri)}\``
        await sql(`CREATE TABLE ${t} (id INT, name STRING) USING delta TBLPROPERTIES (${properties})`)
        await sql(`INSERT INTO ${t} VALUES (1, 'a'), (2, 'b'), (3, 'c')`)
        await sql(use(t))
        const files = () => readdirSync(located(table.uri), { recursive: true }).toSorted()
        const before = files()
        const attempts = [
          () => table.append({ sql: `SELECT 5, 'e'` }),
          () => table.optimize(),
          () => inLake(`INSERT INTO ${name} VALUES (6, 'f')`),
          ...(access === 'read' ? [() => table.snapshot(), () => inLake(`SELECT * FROM ${name}`)] : []),
        ]
        for (const attempt of attempts)
          await expect(attempt()).rejects.toMatchObject({
            code: 'FEATURE_UNSUPPORTED',
            details: { features: expect.stringContaining(feature) },
          })
        expect(files()).toEqual(before)
        if (access === 'write') expect(await digestAt(table.snapshot())).toBe((await (await judge()).read(table.uri)).digest)
      },
    )
    const inLake = async (text: string) => run(await lake(), text)
  })
})

const struct = (fields: Record<string, string>): StructType => ({
  type: 'struct',
  fields: Object.entries(fields).map(([name, type]) => ({ name, type, nullable: true, metadata: {} })),
})
const idSchema = struct({ id: 'long' })

/** deltaic, delta-rs and Spark write to one table in turn; after each turn all of them see the same rows. */
function takesTurns(place: Place, spark: () => Promise<PeerClient>): void {
  const lake = sharedLake(place)
  describeWhen(peers.available('deltalake'), peers.reason('deltalake'), 'and deltalake', () => {
    it('take turns with deltaic on one table, and always agree', TIMEOUT, async () => {
      await using deltalake = await startDeltalake('/', { env: place.env })
      const name = freshName('turns')
      await run(
        await lake(),
        `CREATE TABLE ${name} (id BIGINT, who STRING) PARTITIONED BY (who) TBLPROPERTIES ('delta.checkpointInterval' = '4')`,
      )
      const table = (await lake()).table(name)
      const [uri, schema] = [table.uri, struct({ id: 'long', who: 'string' })]
      const writers: ((id: number) => Promise<unknown>)[] = [
        (id) => table.append({ sql: `SELECT ${id}, 'deltaic'` }),
        async (id) => done(await deltalake.run({ op: 'append', table: located(uri), rows: [{ id, who: 'delta-rs' }], schema })),
        async (id) => done(await (await spark()).run({ sql: `INSERT INTO delta.\`${hadoop(uri)}\` VALUES (${id}, 'spark')` })),
      ]
      const rows: DeltaValue[] = []
      for (let round = 0; round < (place === onDisk ? 10 : 6); round++) {
        await writers[round % 3]?.(round)
        rows.push({ id: round, who: ['deltaic', 'delta-rs', 'spark'][round % 3] })
        if (round === 4) await table.optimize()
        const digest = digestOfRows(schema, rows)
        expect(await digestAt(table.snapshot()), `round ${round}`).toBe(digest)
        expect(done(await deltalake.run({ op: 'read', table: located(uri) }))).toMatchObject({ result: { digest } })
        expect(await sparkJudge(await spark()).read(uri)).toMatchObject({ digest })
      }
    })
  })
}
