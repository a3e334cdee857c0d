import { readdir, readFile } from 'node:fs/promises'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { attack, EXPRESSION_PLACES, everyAttack, SOURCE_PLACES, scramble } from '../support/attack-grammar.js'
import { openSecretLake, SECRET } from '../support/secret-lake.js'

/** What changes the table. */
const CHANGING = /^(INSERT|DELETE|UPDATE|MERGE|CREATE|ALTER|OPTIMIZE|REORG|RESTORE)/
/** More of them look deeper. */
const RUNS = Number(process.env['DELTAIC_FUZZ_RUNS'] ?? 150)
const REFUSALS =
  /^(SQL_FORBIDDEN|SQL_INVALID|STATEMENT_UNSUPPORTED|TABLE_NOT_FOUND|ARGUMENT_INVALID|NAME_INVALID|TYPE_UNSUPPORTED|FEATURE_UNSUPPORTED)$/

const at = await openSecretLake()
const { folder, secret, lake } = at
afterAll(() => at[Symbol.asyncDispose]())

/** What a statement of a stranger comes to: rows as text, or the code of its refusal. */
async function outcome(statement: string): Promise<{ readonly code?: string; readonly text: string }> {
  try {
    const rows = await (await lake.sql(statement.replaceAll('{secret}', secret), { locations: false })).rows()
    return { text: JSON.stringify(rows, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value)) }
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    return { code: code ?? 'none', text: message }
  }
}

async function unharmed(): Promise<void> {
  expect((await readdir(folder)).toSorted()).toEqual(['lake', 'secret.csv'])
  expect(await readFile(secret, 'utf8')).toBe(`word\n${SECRET}\n`)
  expect((await lake.tables()).map(({ name }) => name)).toEqual(['t'])
  expect(await (await lake.sql('SELECT * FROM t')).rows()).toEqual([{ id: 1, s: 'a' }])
}

describe('a statement with something evil in it', () => {
  it('is refused wherever that stands', async () => {
    const attacks = everyAttack()
    expect(attacks.length).toBeGreaterThan(2000)
    // Each place and each evil thing in turn; all of their pairs where there is time for it.
    const step = RUNS >= 1000 ? 1 : 5
    for (let at = 0; at < attacks.length; at += step) {
      const { code, text } = await outcome(attacks[at] ?? '')
      expect(code ?? `answered ${text}`, attacks[at]).toMatch(REFUSALS)
      expect(text).not.toContain(SECRET)
    }
    await unharmed()
  })

  it('is refused in any dress', async () => {
    await fc.assert(
      fc.asyncProperty(attack, async (statement) => {
        const { code, text } = await outcome(statement)
        expect(code ?? `answered ${text}`).toMatch(REFUSALS)
        expect(text).not.toContain(SECRET)
      }),
      { numRuns: RUNS, seed: 20_261_122 },
    )
    await unharmed()
  })
})

describe('a place for attacks', () => {
  /** What the same statements say when nothing evil is in them: so none is refused for what is around it. */
  it.each([
    ...EXPRESSION_PLACES.filter((place) => !CHANGING.test(place)).map((place) => place.replace('{e}', '1')),
    ...SOURCE_PLACES.filter((place) => !CHANGING.test(place)).map((place) => place.replace('{f}', 't')),
  ])('is open to what is harmless: %s', async (statement) => {
    const { code = 'answered' } = await outcome(statement)
    expect(code).not.toBe('SQL_FORBIDDEN')
  })
})

describe('pieces of statements', () => {
  it('never come to the content of a file, whatever their order', async () => {
    await fc.assert(
      fc.asyncProperty(scramble, async (statement) => {
        expect((await outcome(statement)).text).not.toContain(SECRET)
      }),
      { numRuns: RUNS, seed: 20_261_122 },
    )
    expect((await readdir(folder)).toSorted()).toEqual(['lake', 'secret.csv'])
    expect(await readFile(secret, 'utf8')).toBe(`word\n${SECRET}\n`)
  })
})
