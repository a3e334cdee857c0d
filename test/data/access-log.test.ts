import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { accessLogSample, generateAccessLog } from '../../data/access-log.js'

const COMBINED =
  /^\S+ \S+ \S+ \[[^\]]+\] "(?:GET|HEAD|POST) \S+ HTTP\/[\d.]+" \d{3} (?:\d+|-) "(?:[^"\\]|\\.)*" "(?:[^"\\]|\\.)*"$/

describe('generateAccessLog', () => {
  it('gives the same lines for the same seed, and others for another', () => {
    const lines = (seed: number) => [...generateAccessLog({ seed, lines: 200 })]
    expect(lines(1)).toEqual(lines(1))
    expect(lines(1)).not.toEqual(lines(2))
  })

  it.each([2, 10, 777, 2_000])('breaks exactly one of %i lines', (count) => {
    const lines = [...generateAccessLog({ seed: count, lines: count })]
    expect(lines).toHaveLength(count)
    expect(lines.filter((line) => !COMBINED.test(line))).toHaveLength(1)
  })

  it('holds the odd things that real logs do', () => {
    const text = [...generateAccessLog({ seed: 4, lines: 2_000 })].join('\n')
    for (const odd of [/^2001:db8:/m, /" 304 - "/, /\\"the friendly reader\\"/, /%C3%A9/, / - maria \[/, /HEAD /, /"-" "-"$/m]) {
      expect(text).toMatch(odd)
    }
  })

  it('moves forward in time', () => {
    const times = [...generateAccessLog({ seed: 4, lines: 500 })].map(
      (line) => /\[\d\d\/Nov\/2026:([\d:]+) /.exec(line)?.[1] ?? '',
    )
    expect(times).toEqual(times.toSorted())
  })

  it('regenerates the committed sample byte for byte', () => {
    const committed = readFileSync(new URL('../../data/access.log', import.meta.url), 'utf8')
    expect(committed).toBe(accessLogSample())
  })
})
