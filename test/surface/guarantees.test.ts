import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

const at = (path: string) => new URL(`../../${path}`, import.meta.url)
const read = (path: string) => readFileSync(at(path), 'utf8')

describe('each delivery guarantee', () => {
  const promises = read('docs/guarantees.md')
    .split(/\n(?=\d+\. \*\*)/)
    .slice(1)

  it('is numbered', () => {
    expect(promises.map((text) => Number.parseInt(text, 10))).toEqual(promises.map((_, index) => index + 1))
    expect(promises.length).toBeGreaterThan(10)
  })

  it.each(promises.map((text) => [text.match(/\*\*(.*?)\*\*/)?.[1] ?? '', text]))('names a test that is there: %s', (_, text) => {
    const [, file = '', title = ''] = /\*`(test\/[^`]+)`:\s+“([^”]+)”\*/.exec(text) ?? []
    expect(read(file).includes(`'${title}'`), title).toBe(true)
  })
})

describe.each(['docs/guarantees.md', 'docs/durability.md'])('every test that %s names', (page) => {
  const text = read(page)
  const files = new Set(text.match(/test\/[\w./-]+\.ts/g))

  it('is there', () => {
    expect([...files].filter((file) => !existsSync(at(file)))).toEqual([])
    expect(files.size).toBeGreaterThan(5)
  })

  it('has the title that is said', () => {
    for (const [, file = '', title = ''] of text.matchAll(/`(test\/[\w./-]+\.ts)`:\s+“([^”]+)”/g))
      expect(read(file).includes(`'${title}'`), `${file}: ${title}`).toBe(true)
  })
})

it('each promise of docs/durability.md names a test', () => {
  const rows = read('docs/durability.md').match(/^\| \d+ \|.*$/gm) ?? []
  expect(rows.length).toBeGreaterThan(5)
  expect(rows.filter((row) => !/`test\/|the same|promise \d/.test(row))).toEqual([])
})
