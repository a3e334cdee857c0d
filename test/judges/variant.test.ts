// Variants that deltaic writes are Spark's, and the other way round.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Lakehouse, openLakehouse } from '../../src/index.js'
import { describeWhen } from '../support/needs.js'
import { peers, sharedSpark } from '../support/peers.js'
import { done } from './engines.js'

describeWhen(peers.available('spark'), peers.reason('spark'), 'variants', () => {
  let root: string
  let lake: Lakehouse
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'deltaic-variant-'))
    lake = await openLakehouse(root)
  })
  afterAll(async () => {
    await lake?.close()
    await rm(root, { recursive: true, force: true })
  })
  const spark = sharedSpark()

  it('mean the same to both', { timeout: 180_000 }, async () => {
    const t = `delta.\`${join(root, 't')}\``
    const sql = async (text: string) => done(await (await spark()).run({ sql: text }))
    // More fields than are looked through one by one, in no order.
    const wide = JSON.stringify(Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`k${(i * 37) % 60}`, i])))
    await lake.sql('CREATE TABLE t (id INT, v VARIANT)')
    await lake.sql(
      `INSERT INTO t VALUES (1, '{"b": 1, "a": [true, null, "ä", 1.5, 12345678901]}'::JSON), (2, NULL), (3, '${wide}'::JSON), (4, '"text"'::JSON)`,
    )
    const read = async () =>
      (
        await sql(
          `SELECT id, to_json(v) AS j, variant_get(v, '$.k7', 'int') AS k, schema_of_variant(v) IS NULL AS n FROM ${t} ORDER BY id`,
        )
      )['rows']
    const sorted = JSON.stringify(
      Object.fromEntries(Object.entries(JSON.parse(wide) as object).toSorted(([a], [b]) => (a < b ? -1 : 1))),
    )
    const ours = [
      { id: 1, j: '{"a":[true,null,"ä",1.5,12345678901],"b":1}', k: null, n: false },
      { id: 2, j: null, k: null, n: true },
      { id: 3, j: sorted, k: 31, n: false },
      { id: 4, j: '"text"', k: null, n: false },
    ]
    expect(await read()).toEqual(ours)
    await sql(`INSERT INTO ${t} SELECT 5, parse_json('{"z":{"y":[1,2]},"d":2.25}')`)
    await lake.sql('OPTIMIZE t')
    expect(await read()).toEqual([...ours, { id: 5, j: '{"d":2.25,"z":{"y":[1,2]}}', k: null, n: false }])
    expect(await (await lake.sql('SELECT v::JSON::VARCHAR AS v FROM t WHERE id = 5')).rows()).toEqual([
      { v: '{"d":2.25,"z":{"y":[1,2]}}' },
    ])

    const within = `delta.\`${join(root, 'within')}\``
    await lake.sql('CREATE TABLE within (id INT, s STRUCT<x: VARIANT, y: INT>, a ARRAY<VARIANT>, m MAP<STRING, VARIANT>)')
    await lake.sql(
      `INSERT INTO within VALUES (1, {x: '{"b": 1}'::JSON, y: 1}, ['"t"'::JSON, NULL], MAP {'k': '[1]'::JSON}), (2, NULL, [], NULL)`,
    )
    await sql(
      `INSERT INTO ${within} SELECT 3, named_struct('x', parse_json('[2]'), 'y', 3), array(parse_json('{"c":3}')), map('k', parse_json('4'))`,
    )
    await lake.sql('UPDATE within SET id = id + 10 WHERE id = 1')
    const told = [
      { id: 2, x: null, a: [], k: null },
      { id: 3, x: '[2]', a: ['{"c":3}'], k: '4' },
      { id: 11, x: '{"b":1}', a: ['"t"', null], k: '[1]' },
    ]
    const asText = `SELECT id, to_json(s.x) AS x, transform(a, e -> to_json(e)) AS a, to_json(m['k']) AS k FROM ${within} ORDER BY id`
    expect((await sql(asText))['rows']).toEqual(told)
    const ourText = `SELECT id, nullif(s.x::JSON::VARCHAR, 'null') AS x, list_transform(a, lambda e: nullif(e::JSON::VARCHAR, 'null')) AS a, nullif(m['k']::JSON::VARCHAR, 'null') AS k FROM within ORDER BY id`
    expect(await (await lake.sql(ourText)).rows()).toEqual(told)
  })
})
