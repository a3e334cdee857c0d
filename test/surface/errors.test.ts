import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { KIND_OF } from '../../src/index.js'

const text = await readFile(new URL('../../docs/errors.md', import.meta.url), 'utf8')
const rows = text
  .split('\n')
  .filter((line) => line.startsWith('| `'))
  .map((line) => line.split(' | ').map((cell) => cell.replace(/^\| | \|$/g, '').trim()))
const plain = (cell: string | undefined) => cell?.replaceAll('`', '') ?? ''

describe('docs/errors.md', () => {
  it('explains every code, once, in the order of the code, with its kind', () => {
    const codes = rows.filter((cells) => cells.length === 4).map(([code, kind]) => [plain(code), plain(kind)])
    expect(codes).toEqual(Object.entries(KIND_OF))
  })

  it('says of each what it means and what to do', () => {
    for (const [code, , meaning, remedy] of rows.filter((cells) => cells.length === 4)) {
      expect(meaning, code).toMatch(/^[A-Z].*\.$/)
      expect(remedy, code).toMatch(/\w.*\.$/)
    }
  })

  it('explains every kind', () => {
    const kinds = rows.filter((cells) => cells.length === 2).map(([kind]) => plain(kind))
    expect([...kinds].sort()).toEqual([...new Set(Object.values(KIND_OF))].sort())
  })
})
