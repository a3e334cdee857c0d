import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DeltaError } from '../../src/index.js'
import { Engines } from '../../src/lakehouse/engines.js'
import { openStore } from '../../src/storage/open.js'
import { attacks } from '../support/attacks.js'
import { openSecretLake, SECRET } from '../support/secret-lake.js'

const at = await openSecretLake()
const { folder, secret, lake } = at
afterAll(() => at[Symbol.asyncDispose]())

const armed = (attack: string) =>
  attack.replaceAll("'{sec' || 'ret}'", `'${secret.slice(0, 5)}' || '${secret.slice(5)}'`).replaceAll('{secret}', secret)

/** What may name a file where locations are allowed, and nothing else may. */
const ALLOWED_WITH_LOCATIONS = ["COPY t FROM '{secret}'"]

describe.each([
  ['strangers wrote', false],
  ['may name locations', true],
])('the first wall, for text that %s', (_, locations) => {
  it.each(attacks.filter((attack) => !locations || !ALLOWED_WITH_LOCATIONS.includes(attack)))('refuses %j', async (attack) => {
    const before = [await readdir(folder), await readFile(secret, 'utf8')]
    const answer = (async () => (await lake.sql(armed(attack), { locations })).rows())()
    const error: unknown = await answer.then(
      (rows) => expect.unreachable(`it answered ${JSON.stringify(rows, (_, v) => (typeof v === 'bigint' ? String(v) : v))}`),
      (reason: unknown) => reason,
    )
    expect(error).toBeInstanceOf(DeltaError)
    expect(['SQL_FORBIDDEN', 'SQL_INVALID', 'STATEMENT_UNSUPPORTED', 'TABLE_NOT_FOUND', 'ARGUMENT_INVALID']).toContain(
      (error as DeltaError).code,
    )
    expect((error as DeltaError).message).not.toContain(SECRET)
    expect([await readdir(folder), await readFile(secret, 'utf8')]).toEqual(before)
  })

  it('leaves the tables as they were', async () => {
    expect((await lake.tables()).map(({ name }) => name)).toEqual(['t'])
    expect(await (await lake.sql('SELECT * FROM t')).rows()).toEqual([{ id: 1, s: 'a' }])
  })

  it(`${locations ? 'reads' : 'does not read'} a file for COPY … FROM`, async () => {
    await lake.sql('CREATE TABLE words (word STRING)')
    const copied = await lake.sql(`COPY words FROM '${secret}'`, { locations }).then(
      () => 'copied',
      (error: DeltaError) => error.code,
    )
    expect(copied).toBe(locations ? 'copied' : 'SQL_FORBIDDEN')
    expect(await (await lake.sql('SELECT word FROM words')).rows()).toEqual(locations ? [{ word: SECRET }] : [])
    await lake.dropTable('words')
  })

  it('lets harmless queries through that use the same words', async () => {
    const harmless = [
      "SELECT 'read_text(''/etc/passwd'')' AS s, 1 AS getenv, 2 AS \"read_csv\"",
      'WITH read_text AS (SELECT 1 AS x) SELECT * FROM read_text',
      'WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT max(n) FROM r',
      'WITH a AS (SELECT 1 AS x), b AS (SELECT * FROM a) SELECT * FROM b, a',
      'WITH a AS (SELECT 1 AS x) SELECT * FROM (SELECT (SELECT x FROM a)) UNION ALL SELECT x FROM a',
      'SELECT * FROM range(3), unnest([1, 2])',
      'SELECT s AS user FROM t -- COPY t TO x',
      "FROM t PIVOT (count(*) FOR s IN ('a'))",
      'SUMMARIZE t',
      'DESCRIBE SELECT * FROM t',
      'SELECT * FROM (DESCRIBE t)',
      'SELECT t.id, [x + 1 FOR x IN [1, 2]] FROM t TABLESAMPLE 100%',
    ]
    for (const query of harmless) expect((await (await lake.sql(query)).rows()).length, query).toBeGreaterThan(0)
  })
})

describe('the second wall alone', () => {
  let engines: Engines

  beforeAll(async () => {
    engines = await Engines.open(openStore(join(folder, 'lake')), {})
  })
  afterAll(() => engines?.close())

  it.each(['queries', 'binder'] as const)('keeps %s from every file outside', async (name) => {
    for (const attack of attacks.filter((text) => text.includes('{secret}'))) {
      const found = await engines[name].rows(armed(attack)).catch((error: unknown) => error)
      const words = JSON.stringify(found, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value))
      expect(words, attack).not.toContain(SECRET)
    }
    expect(await readFile(secret, 'utf8')).toContain(SECRET)
    expect((await readdir(folder)).sort()).toEqual(['lake', 'secret.csv'])
  })

  it.each([
    "FROM read_text('/etc/passwd')",
    "FROM '/etc/passwd.csv'",
    "FROM glob('/etc/*')",
    "COPY (SELECT 1) TO '/tmp/deltaic-escaped.csv'",
    "ATTACH '/tmp/deltaic-escaped.db'",
    'INSTALL httpfs',
    'LOAD httpfs',
    'SET enable_external_access = true',
    "SET allowed_directories = ['/']",
    'SET lock_configuration = false',
    'RESET lock_configuration',
    "SET temp_directory = '/tmp'",
    "PRAGMA profiling_output = '/tmp/deltaic-escaped'",
    "FROM read_csv('https://127.0.0.1:9/x.csv')",
  ])('refuses %s on the engine itself', async (statement) => {
    await expect(engines.queries.rows(statement)).rejects.toMatchObject({
      code: expect.stringMatching(/^(SQL_FORBIDDEN|SQL_INVALID|ENGINE_FAILED|DATA_FILE_MISSING)$/) as string,
    })
  })

  it('does read what is inside', async () => {
    const rows = await engines.queries.rows(`SELECT count(*) AS n FROM read_parquet('${join(folder, 'lake')}/t/*/*.parquet')`)
    expect(rows).toEqual([{ n: 1n }])
  })
})
