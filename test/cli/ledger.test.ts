import { describe, expect, it } from 'vitest'
import { createLedger, topOf } from '../../cli/tour/ledger.js'
import { isExact } from '../../cli/tour/question.js'

const views = (counts: Record<string, number>) => new Map(Object.entries(counts))

describe('the ledger of acknowledged views', () => {
  const ledger = createLedger()
  ledger.record(3, views({ '/a': 2, '/b': 1 }))
  ledger.record(5, views({ '/b': 4 }))
  ledger.record(3, views({ '/c': 1 }))

  it('counts at a version what was acknowledged up to it', () => {
    expect(ledger.countsAt(2)).toEqual(views({}))
    expect(ledger.countsAt(3)).toEqual(views({ '/a': 2, '/b': 1, '/c': 1 }))
    expect(ledger.countsAt(4)).toEqual(ledger.countsAt(3))
    expect(ledger.countsAt(5)).toEqual(views({ '/a': 2, '/b': 5, '/c': 1 }))
    expect(ledger).toMatchObject({ rows: 8, version: 5, acks: 3, commits: 2 })
  })

  it('tells an exact answer from one that is a view off', () => {
    const top = [
      { url: '/a', views: 2 },
      { url: '/b', views: 1 },
      { url: '/c', views: 1 },
    ]
    expect(isExact({ version: 3, total: 4, top }, ledger)).toBe(true)
    expect(isExact({ version: 5, total: 4, top }, ledger)).toBe(false)
    expect(isExact({ version: 3, total: 5, top }, ledger)).toBe(false)
    expect(isExact({ version: 3, total: 4, top: [{ url: '/a', views: 3 }, ...top.slice(1)] }, ledger)).toBe(false)
  })
})

describe('topOf', () => {
  it('puts the most viewed first, equal ones by name', () => {
    expect(topOf(views({ '/z': 1, '/B': 1, '/a': 1, '/top': 9 }), 3)).toEqual([
      { url: '/top', views: 9 },
      { url: '/B', views: 1 },
      { url: '/a', views: 1 },
    ])
  })
})
