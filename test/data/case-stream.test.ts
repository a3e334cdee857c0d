import { describe, expect, it } from 'vitest'
import { caseStream, type ViewPost } from '../../data/case-stream.js'

const stream = caseStream({ seed: 5, rows: 48_000, urls: 500, postRows: 100 })
const posts = [...stream.posts()]

const linesOf = (post: ViewPost) =>
  Buffer.from(post.ndjson)
    .toString()
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { viewed_at: string; url: string })

describe('caseStream', () => {
  it('gives the same bytes for the same seed, and others for another', () => {
    const bytes = (seed: number) => Buffer.concat([...caseStream({ seed, rows: 1000 }).posts()].map(({ ndjson }) => ndjson))
    expect(bytes(1).equals(bytes(1))).toBe(true)
    expect(bytes(1).equals(bytes(2))).toBe(false)
  })

  it('says the same in numbers and in lines', () => {
    for (const post of posts.slice(0, 50)) {
      const lines = linesOf(post)
      expect(lines.map(({ url }) => stream.paths.indexOf(url))).toEqual([...post.ranks])
      expect(lines.map(({ viewed_at }) => Date.parse(viewed_at))).toEqual([...post.atMs])
    }
  })

  it('sends each view once, but those of one producer twice for an hour', () => {
    const copies = posts.filter(({ isCopy }) => isCopy)
    const rows = (some: readonly ViewPost[]) => some.reduce((total, { ranks }) => total + ranks.length, 0)
    expect(rows(posts) - rows(copies)).toBe(48_000)
    expect(rows(copies)).toBeGreaterThan(48_000 / 24 / 16)
    for (const copy of copies) {
      const original = posts.find(({ producer, sequence }) => producer === copy.producer && sequence === copy.sequence - 1)
      expect(original?.ndjson).toEqual(copy.ndjson)
      expect(copy.producer).toBe(stream.bug.producer)
    }
  })

  it('numbers the posts of each producer without a gap', () => {
    for (const producer of stream.producers) {
      const own = posts.filter((post) => post.producer === producer).map(({ sequence }) => sequence)
      expect(own).toEqual(own.map((_, n) => n))
    }
  })

  it('spans a day, with some views late by up to six hours, and a burst on one URL', () => {
    const newest = posts.map(({ atMs }) => Math.max(...atMs))
    expect(newest.at(-1)).toBeGreaterThan(stream.toMs - 60_000)
    expect(Math.max(...newest)).toBeLessThanOrEqual(stream.toMs)
    let arrived = 0
    let late = 0
    for (const [n, { atMs }] of posts.entries()) {
      arrived = Math.max(arrived, newest[n] ?? 0)
      late += atMs.filter((at) => arrived - at > 300_000).length
    }
    expect(late / 48_000).toBeGreaterThan(0.003)
    expect(late / 48_000).toBeLessThan(0.01)
    const burst = posts[Math.floor(posts.length * 0.42)]
    expect(burst?.ranks.filter((rank) => rank === 7).length).toBeGreaterThan(60)
  })
})
