import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { KIND_OF } from '../../src/base/errors.js'
import { openLakehouse } from '../../src/index.js'

const docs = resolve(import.meta.dirname, '../../docs')
const pages = readdirSync(join(docs, 'operations')).toSorted()
const textOf = (page: string) => readFileSync(join(docs, 'operations', page), 'utf8')

describe('the page of an operation', () => {
  it.each(pages)('shows SQL that runs: %s', async (page) => {
    const folder = mkdtempSync(join(tmpdir(), 'deltaic-operation-'))
    const lake = await openLakehouse(join(folder, 'lake'))
    try {
      const blocks = [...textOf(page).matchAll(/^```sql\n([\s\S]*?)^```/gm)].map((match) => match[1] ?? '')
      expect(blocks.length).toBeGreaterThan(0)
      // The one page about files that are there already finds some.
      const raw = join(folder, 'raw')
      if (page === 'convert.md') {
        await lake.sql('CREATE TABLE made (id BIGINT, day DATE) PARTITIONED BY (day)')
        await lake.sql("INSERT INTO made VALUES (1, DATE '2026-11-01')")
        renameSync(join(folder, 'lake/made'), raw)
        rmSync(join(raw, '_delta_log'), { recursive: true })
      }
      for (const statement of blocks.flatMap((block) => block.split(/;\s*$/m)).filter((text) => text.trim() !== '')) {
        const result = await lake.sql(statement.replaceAll('/data/raw', raw))
        expect(Array.isArray(await result.rows()), statement).toBe(true)
      }
    } finally {
      await lake.close()
      rmSync(folder, { recursive: true, force: true })
    }
  })

  it.each(pages)('names errors that there are, and is in the index: %s', (page) => {
    const codes = [...textOf(page).matchAll(/`([A-Z]+(?:_[A-Z]+)+)`/g)].map((match) => match[1] ?? '')
    expect(codes.filter((code) => !(code in KIND_OF))).toEqual([])
    expect(readFileSync(join(docs, 'operations.md'), 'utf8')).toContain(`(operations/${page})`)
  })
})
