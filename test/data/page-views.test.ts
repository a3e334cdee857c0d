import { describe, expect, it } from 'vitest'
import { generatePageViews, type PageViewBatch, type PageViewOptions } from '../../data/page-views.js'

interface View {
  readonly viewed_at: string
  readonly url: string
  readonly user_id: number
  readonly status: number
  readonly bytes: number
  readonly referrer: string | null
}

const viewsOf = (batch: PageViewBatch): View[] =>
  new TextDecoder()
    .decode(batch.ndjson)
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as View)

const allViews = (options: PageViewOptions): View[] => [...generatePageViews(options)].flatMap(viewsOf)

describe('generatePageViews', () => {
  it('gives the same bytes for the same seed, and others for another', () => {
    const bytes = (seed: number) => Buffer.concat([...generatePageViews({ seed, rows: 5_000 })].map((batch) => batch.ndjson))
    expect(bytes(7).equals(bytes(7))).toBe(true)
    expect(bytes(7).equals(bytes(8))).toBe(false)
  })

  it('gives the same views however they are cut into batches', () => {
    expect(allViews({ seed: 1, rows: 1_000, batchRows: 7 })).toEqual(allViews({ seed: 1, rows: 1_000 }))
  })

  it('counts in each batch exactly the views of its lines', () => {
    for (const batch of generatePageViews({ seed: 3, rows: 4_500, batchRows: 2_000 })) {
      const counted = new Map<string, number>()
      const views = viewsOf(batch)
      for (const view of views) counted.set(view.url, (counted.get(view.url) ?? 0) + 1)
      expect(batch.rows).toBe(views.length)
      expect(new Map([...batch.perUrl].sort())).toEqual(new Map([...counted].sort()))
    }
  })

  it('gives as many rows as asked for, the rest in the last batch', () => {
    expect([...generatePageViews({ seed: 1, rows: 25, batchRows: 10 })].map((batch) => batch.rows)).toEqual([10, 10, 5])
    expect([...generatePageViews({ seed: 1, rows: 0 })]).toEqual([])
  })

  it('refuses a number of rows that is none', () => {
    expect(() => generatePageViews({ seed: 1, rows: 1.5 }).next()).toThrow(RangeError)
    expect(() => generatePageViews({ seed: 1, rows: 1, batchRows: 0 }).next()).toThrow(RangeError)
  })

  it('lets the views of a URL fall with its rank as Zipf has it', () => {
    const perUrl = new Map<string, number>()
    for (const { url } of allViews({ seed: 5, rows: 50_000, urls: 500 })) perUrl.set(url, (perUrl.get(url) ?? 0) + 1)
    const ranked = [...perUrl.values()].sort((a, b) => b - a)
    const [first = 0, , , fourth = 1] = ranked
    expect(first / fourth).toBeGreaterThan(2) // 4^1.1 is 4.6; the burst lifts one URL in between
    expect(ranked.slice(0, 50).reduce((sum, views) => sum + views, 0)).toBeGreaterThan(25_000)
    expect(perUrl.size).toBeGreaterThan(450)
  })

  it('holds late views by up to hours, neighbours out of order, and a burst', () => {
    const startMs = Date.UTC(2026, 0, 1)
    const views = allViews({ seed: 5, rows: 40_000, startMs })
    let latest = startMs
    let late = 0
    let outOfOrder = 0
    for (const view of views) {
      const at = Date.parse(view.viewed_at)
      expect(new Date(at).toISOString()).toBe(view.viewed_at)
      if (at < latest) outOfOrder++
      if (at < latest - 60_000) late++
      latest = Math.max(latest, at)
    }
    expect(late).toBeGreaterThan(100)
    expect(late).toBeLessThan(400)
    expect(outOfOrder).toBeGreaterThan(10_000)
    expect(Math.min(...views.map((view) => Date.parse(view.viewed_at)))).toBeLessThan(startMs - 3_600_000)
    const spanMs = (from: number, to: number) => Date.parse(views[to]?.viewed_at ?? '') - Date.parse(views[from]?.viewed_at ?? '')
    expect(spanMs(16_100, 17_900)).toBeLessThan(spanMs(10_100, 11_900) / 5)
  })

  it('has referrers that are null, and statuses that are no success', () => {
    const views = allViews({ seed: 9, rows: 2_000 })
    expect(views.some((view) => view.referrer === null)).toBe(true)
    expect(views.some((view) => view.referrer?.startsWith('https://'))).toBe(true)
    expect(new Set(views.map((view) => view.status))).toEqual(new Set([200, 301, 304, 404, 500]))
  })
})
