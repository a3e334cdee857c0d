import { describe, expect, it } from 'vitest'
import type { Lakehouse } from '../../src/lakehouse/lakehouse.js'
import { openLake, rowsOf } from '../support/world.js'

const KEPT = "'deltaic.ingest.provenance' = 'producer, sequence, received_at'"
const lines = (...ids: number[]) => Buffer.from(ids.map((id) => `{"id": ${id}}\n`).join(''))
const SEEN = 'SELECT id, producer, sequence, received_at IS NOT NULL AS received FROM t ORDER BY id'

/** One request of several producers at once, so that they share commits. */
const ingestAll = (lake: Lakehouse) =>
  Promise.all([
    lake.table('t').ingest(lines(1, 2), { txn: { appId: 'a', version: 7 } }),
    lake.table('t').ingest(lines(3), { txn: { appId: "b's", version: 1 } }),
    lake
      .table('t')
      .ingest(Buffer.from('{"id": 4}\nnonsense\n{"id": 5}\n'), { txn: { appId: 'c', version: 1 }, onError: 'reject' }),
    lake.table('t').ingest(lines(6)),
  ])

describe('deltaic.ingest.provenance', () => {
  it('keeps whose batch each row came in, also where batches share a commit', async () => {
    await using lake = await openLake()
    await lake.sql(`CREATE TABLE t (id BIGINT) TBLPROPERTIES (${KEPT}, 'delta.enableRowTracking' = 'true')`)
    const results = await ingestAll(lake)
    expect(results.map(({ rows, rejected }) => [rows, rejected])).toEqual([
      [2, 0],
      [1, 0],
      [2, 1],
      [1, 0],
    ])
    const row = (id: number, producer: string | null, sequence: number | null) => ({ id, producer, sequence, received: true })
    const all = [row(1, 'a', 7), row(2, 'a', 7), row(3, "b's", 1), row(4, 'c', 1), row(5, 'c', 1), row(6, null, null)]
    expect(await rowsOf(lake, SEEN)).toEqual(all)
    await lake.table('t').append(lines(8, 9), { txn: { appId: 'files', version: 3 }, batchRows: 1 })
    expect((await rowsOf(lake, SEEN)).slice(6)).toEqual([row(8, 'files', 3), row(9, 'files', 4)])
    const versions = { from: 1, to: Math.max(...results.map(({ version }) => version)) }
    const undone = await lake.table('t').undo({ versions, where: "producer = 'c'", proof: 'table' })
    expect(undone).toMatchObject({ rowsDeleted: 2, proof: { holds: true } })
    expect((await rowsOf(lake, SEEN)).map(({ id }) => id)).toEqual([1, 2, 3, 6, 8, 9])
  })

  it('is turned on later, and rows from before have none', async () => {
    await using lake = await openLake()
    await lake.sql('CREATE TABLE t (id BIGINT, producer STRING)')
    await lake.table('t').append(Buffer.from('{"id": 0, "producer": "own"}\n'))
    await lake.sql(`ALTER TABLE t SET TBLPROPERTIES (${KEPT})`)
    await ingestAll(lake)
    expect((await rowsOf(lake, SEEN)).slice(0, 3)).toEqual([
      { id: 0, producer: 'own', sequence: null, received: false },
      { id: 1, producer: 'a', sequence: 7, received: true },
      { id: 2, producer: 'a', sequence: 7, received: true },
    ])
  })

  it('is refused for columns of another kind, and for what ingest does not know', async () => {
    await using lake = await openLake()
    const refused = (text: string) => expect(lake.sql(text)).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
    await refused(`CREATE TABLE t (id BIGINT, sequence INT) TBLPROPERTIES (${KEPT})`)
    await refused(`CREATE TABLE t (id BIGINT, producer STRING NOT NULL) TBLPROPERTIES (${KEPT})`)
    await refused("CREATE TABLE t (id BIGINT) TBLPROPERTIES ('deltaic.ingest.provenance' = 'producer, weather')")
    await lake.sql('CREATE TABLE t (id BIGINT, received_at DATE)')
    await refused(`ALTER TABLE t SET TBLPROPERTIES (${KEPT})`)
  })
})
