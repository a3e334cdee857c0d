import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { openLakehouse } from '../../src/index.js'

const page = readFileSync(join(resolve(import.meta.dirname, '../..'), 'docs/sql.md'), 'utf8')
const blocks = [...page.matchAll(/^```sql\n([\s\S]*?)^```/gm)].map((match) => match[1] ?? '')
const folder = mkdtempSync(join(tmpdir(), 'deltaic-sql-page-'))
const lake = await openLakehouse(folder)
afterAll(async () => {
  await lake.close()
  rmSync(folder, { recursive: true, force: true })
})

const column = async (query: string) => (await (await lake.sql(query)).rows()).map((row) => Object.values(row)[0])

describe('the page of statements', () => {
  // In order: later ones are about tables that earlier ones made.
  it.each(blocks.flatMap((block) => block.split(/;\s*$/m)).filter((statement) => statement.trim() !== ''))(
    'shows what runs: %s',
    async (statement) => {
      const result = await lake.sql(statement)
      expect(Array.isArray(await result.rows())).toBe(true)
    },
  )

  it('leaves behind what it says', async () => {
    expect(await column('SHOW TABLES')).toEqual(['events', 'kept', 'prices', 'views'])
    expect(await column('SELECT id FROM views ORDER BY id')).toEqual([1n, 2n])
  })

  it('names statements that are refused as it says', async () => {
    for (const [statement, code] of [
      ["CREATE TABLE u (a INT) LOCATION '/x'", 'STATEMENT_UNSUPPORTED'],
      ["ATTACH 'x' AS y", 'SQL_FORBIDDEN'],
      ["COPY views TO 'x'", 'SQL_FORBIDDEN'],
      ["SELECT * FROM read_text('x')", 'SQL_FORBIDDEN'],
      ['ANALYZE TABLE views COMPUTE STATISTICS', 'STATEMENT_UNSUPPORTED'],
    ] as const)
      await expect(lake.sql(statement), statement).rejects.toMatchObject({ code })
    await expect(lake.sql("COPY views FROM 'x.csv'", { locations: false })).rejects.toMatchObject({ code: 'SQL_FORBIDDEN' })
    await expect(lake.sql('TRUNCATE TABLE views', { readOnly: true })).rejects.toMatchObject({ code: 'SQL_FORBIDDEN' })
  })
})
