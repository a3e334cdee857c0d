// Parquet files of writers that mark texts and bytes otherwise than Spark does, and logs with a null where it leaves a field out.
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { Action } from '../../src/protocol/actions.js'
import { formatCommit } from '../../src/protocol/commit-file.js'
import { commitPath } from '../../src/protocol/log-path.js'
import { MemoryStore } from '../../src/storage/memory.js'
import { addOf, openLake, openWorld, PROTOCOL, rowsOf } from '../support/world.js'

const world = await openWorld()
const folder = await mkdtemp(join(tmpdir(), 'deltaic-odd-'))
afterAll(async () => rm(folder, { recursive: true, force: true }))

type Type = string | object
const array = (elementType: Type) => ({ type: 'array', elementType, containsNull: true })
const map = (keyType: Type, valueType: Type) => ({ type: 'map', keyType, valueType, valueContainsNull: true })
const struct = (members: Readonly<Record<string, Type>>) => ({
  type: 'struct',
  fields: Object.entries(members).map(([name, type]) => ({ name, type, nullable: true, metadata: {} })),
})
const metadataOf = (columns: Readonly<Record<string, Type>>, more: object = {}): Action => {
  const schemaString = JSON.stringify(struct(columns))
  const metaData = { id: 'it', format: { provider: 'parquet' }, schemaString, partitionColumns: [], configuration: {}, ...more }
  return { metaData } as unknown as Action
}

/** A table `t` of the rows that some queries give, a file for each, under a schema that another writer chose. */
async function madeOf(columns: Readonly<Record<string, Type>>, queries: readonly string[], more?: object) {
  const store = new MemoryStore()
  const adds: Action[] = []
  for (const [at, query] of queries.entries()) {
    const file = join(folder, `${at}.parquet`)
    await world.database.use((connection) => connection.run(`COPY (${query}) TO '${file}' (FORMAT parquet)`))
    const bytes = await readFile(file)
    await store.put(`t/${at}.parquet`, bytes)
    adds.push({ add: addOf(`${at}.parquet`, { size: bytes.length, partitionValues: {} }) })
  }
  await store.put(`t/${commitPath(0)}`, formatCommit([PROTOCOL, metadataOf(columns, more), ...adds]))
  return openLake(store)
}

describe('a data file', () => {
  it('whose texts lack the mark of one reads as text, at every depth', async () => {
    const text = "encode('é')"
    await using lake = await madeOf(
      { s: 'string', l: array('string'), m: map('string', 'string'), n: struct({ t: 'string', u: array('string') }) },
      [
        `SELECT ${text} AS s, [${text}] AS l, MAP {${text}: ${text}} AS m, {t: ${text}, u: [${text}]} AS n`,
        "SELECT 'a' AS s, ['b'] AS l, MAP {'c': 'd'} AS m, {t: 'e', u: NULL::VARCHAR[]} AS n",
      ],
    )
    expect(await rowsOf(lake, 'SELECT s, l::VARCHAR AS l, m::VARCHAR AS m, n::VARCHAR AS n FROM t ORDER BY s')).toEqual([
      { s: 'a', l: '[b]', m: '{c=d}', n: "{'t': e, 'u': NULL}" },
      { s: 'é', l: '[é]', m: '{é=é}', n: "{'t': é, 'u': [é]}" },
    ])
    expect(await rowsOf(lake, "SELECT count(*)::INT AS n FROM t WHERE s = 'é' AND n.t LIKE 'é%'")).toEqual([{ n: 1 }])
  })

  it('whose bytes are marked as text reads as bytes, beside texts that lack the mark', async () => {
    await using lake = await madeOf({ b: 'binary', s: 'string', n: struct({ b: 'binary', s: 'string' }) }, [
      "SELECT 'é\\x41' AS b, encode('é') AS s, {b: 'é', s: encode('ü')} AS n",
      "SELECT '\\xFF'::BLOB AS b, 'z' AS s, {b: '\\xFE'::BLOB, s: 'y'} AS n",
    ])
    expect(await rowsOf(lake, 'SELECT hex(b) AS b, s, hex(n.b) AS nb, n.s AS ns FROM t ORDER BY s')).toEqual([
      { b: 'FF', s: 'z', nb: 'FE', ns: 'y' },
      { b: 'C3A95C783431', s: 'é', nb: 'C3A9', ns: 'ü' },
    ])
    await lake.sql('OPTIMIZE t')
    expect(await rowsOf(lake, "SELECT hex(b) AS b FROM t WHERE s = 'é'")).toEqual([{ b: 'C3A95C783431' }])
  })
})

describe('a log', () => {
  it('may say null where it leaves a field out', async () => {
    const nulls = { name: null, description: null, partitionColumns: null, configuration: null, createdTime: null }
    await using lake = await madeOf({ s: 'string' }, ["SELECT 'a' AS s"], nulls)
    expect(await rowsOf(lake, 'SELECT s FROM t')).toEqual([{ s: 'a' }])
  })
})
