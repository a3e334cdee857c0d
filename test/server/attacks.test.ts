import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ATTACKS, CONDITION_ATTACKS } from './attacks.js'
import { JSON_TYPE, jsonOf, type LakeServer, problemOf, serveLake } from './lake-server.js'

const CANARY = 'canary-5c1f'
const REFUSALS = /^(SQL_FORBIDDEN|SQL_INVALID|STATEMENT_UNSUPPORTED|TABLE_NOT_FOUND|NAME_INVALID)$/

let at: LakeServer

beforeAll(async () => {
  at = await serveLake()
  await writeFile(join(at.folder, 'secret.csv'), `id,word\n1,${CANARY}\n`)
  await at.lake.sql('CREATE TABLE views (id BIGINT, url STRING)')
  await at.lake.sql("INSERT INTO views VALUES (1, '/a')")
})
afterAll(() => at[Symbol.asyncDispose]())

const armed = (attack: string) =>
  attack.replaceAll('{secret}', join(at.folder, 'secret.csv')).replaceAll('{out}', join(at.folder, 'out'))

async function expectRefusal(response: Response): Promise<void> {
  const text = await response.clone().text()
  expect(response.status, text).not.toBe(200)
  expect(text).not.toContain(CANARY)
  expect((await problemOf(response)).code, text).toMatch(REFUSALS)
}

describe('SQL over HTTP', () => {
  it.each(ATTACKS)('refuses %s', async (attack) => {
    await expectRefusal(await at.sql(armed(attack)))
  })

  it.each(ATTACKS)('refuses, for reading, %s', async (attack) => {
    await expectRefusal(await at.get(`/v1/sql?q=${encodeURIComponent(armed(attack))}`))
  })

  it.each(CONDITION_ATTACKS)('refuses to optimize where %s', async (attack) => {
    await expectRefusal(await at.post('/v1/tables/views/optimize', JSON.stringify({ where: armed(attack) }), JSON_TYPE))
  })

  it('is as it was afterwards', async () => {
    expect(await at.rows('SELECT id, url FROM views')).toEqual([{ id: 1, url: '/a' }])
    expect(await jsonOf(await at.get('/v1/tables'))).toMatchObject({ tables: [{ name: 'views' }] })
    expect((await readdir(at.folder)).toSorted()).toEqual(['lake', 'secret.csv'])
    expect((await readdir(join(at.folder, 'lake'))).filter((name) => !name.startsWith('.'))).toEqual(['views'])
  })
})
