import { describe, expect, it } from 'vitest'
import { readPlan } from '../../src/sql/scans.js'

const scan = (info: object) => ({
  name: 'SEQ_SCAN ',
  children: [],
  extra_info: { Table: '"temp".main.t', Projections: ['a'], ...info },
})
const readScans = (json: string) => readPlan(json)?.scans
const filtersOf = (plan: object) => readScans(JSON.stringify([plan]))?.map(({ filters }) => filters)

describe('scans of a plan', () => {
  it('have their table, their columns and their filters', () => {
    const plan = {
      name: 'HASH_JOIN',
      children: [scan({ Filters: "b='x'" }), scan({ Table: 'temp.main."my.t"', Filters: [] })],
      extra_info: {},
    }
    expect(readScans(JSON.stringify([plan]))).toMatchObject([
      { table: 't', columns: new Set(['a', 'b', 'x']), isFiltered: true, filters: ["b='x'"] },
      { table: 'my.t', columns: new Set(['a']), isFiltered: false, filters: [] },
    ])
  })

  it('take the filter right above them, and none from further up', () => {
    const filter = (child: object) => ({ name: 'FILTER', children: [child], extra_info: { Expression: '(a > 1)' } })
    expect(filtersOf(filter(scan({ Filters: 'optional: a>0' })))).toEqual([['a>0', '(a > 1)']])
    expect(filtersOf(filter({ name: 'PROJECTION', children: [scan({})], extra_info: {} }))).toEqual([[]])
  })

  it('leave out what the engine decides while it runs', () => {
    expect(filtersOf(scan({ Filters: ['optional: Dynamic Filter (a)', 'a>1'] }))).toEqual([['a>1']])
  })

  it('take no piece of a string for a filter', () => {
    expect(filtersOf(scan({ Filters: ["s='x", 'a=7', "b'", 'a>3'] }))).toEqual([['a>3']])
    expect(filtersOf(scan({ Filters: ["s='it''s", 'a=7', "''b'", "s='q'"] }))).toEqual([["s='q'"]])
  })

  it('tell nothing of a plan of another shape', () => {
    expect(readScans('nonsense')).toBeUndefined()
    expect(readScans('[{"name":1}]')).toBeUndefined()
    expect(readScans('[{"name":"SEQ_SCAN","children":[],"extra_info":{}}]')).toMatchObject([
      { table: '', columns: undefined, isFiltered: false, filters: [] },
    ])
  })
})
