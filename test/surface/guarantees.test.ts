import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')

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
