import { describe, expect, it } from 'vitest'
import { humanAgo, humanBytes, humanElapsed } from '../../cli/output/human.js'
import { type Column, formatRelation } from '../../cli/output/relation.js'

describe('sizes and times for people', () => {
  it.each([
    [0, '0 B'],
    [1_536, '1.5 KB'],
    [128 * 2 ** 20, '128 MB'],
    [3 * 2 ** 30, '3 GB'],
  ])('%d bytes are %s', (bytes, text) => {
    expect(humanBytes(bytes)).toBe(text)
  })

  it.each([
    [0.4, '0 ms'],
    [999, '999 ms'],
    [1_234, '1.2 s'],
    [59_949, '59.9 s'],
    [59_990, '1 min 0 s'],
    [200_000, '3 min 20 s'],
  ])('%d ms are %s', (ms, text) => {
    expect(humanElapsed(ms)).toBe(text)
  })

  it('tells how long ago', () => {
    expect([humanAgo(0, 200_000), humanAgo(0, 500), humanAgo(1_000, 0)]).toEqual(['3 minutes ago', 'just now', 'just now'])
  })
})

describe('formatRelation', () => {
  interface Row {
    readonly name: string
    readonly size: number | undefined
  }
  const columns: readonly Column<Row>[] = [
    { name: 'name', value: (row) => row.name },
    { name: 'size', value: (row) => row.size, show: (row) => humanBytes(row.size ?? 0), isNumber: true },
  ]
  const rows: readonly Row[] = [
    { name: 'a|b, "c"', size: 2_048 },
    { name: 'd\ne', size: undefined },
  ]

  it('is exact in json, ndjson and csv', () => {
    expect(JSON.parse(formatRelation(columns, rows, 'json'))).toEqual([
      { name: 'a|b, "c"', size: 2_048 },
      { name: 'd\ne', size: null },
    ])
    expect(formatRelation(columns, rows, 'ndjson')).toBe('{"name":"a|b, \\"c\\"","size":2048}\n{"name":"d\\ne","size":null}\n')
    expect(formatRelation(columns, rows, 'csv')).toBe('name,size\n"a|b, ""c""",2048\n"d\ne",\n')
  })

  it('is for people in markdown and tables', () => {
    expect(formatRelation(columns, rows, 'markdown')).toBe(
      '| name | size |\n| --- | ---: |\n| a\\|b, "c" | 2 KB |\n| d e | 0 B |\n',
    )
    expect(formatRelation(columns, rows, 'table')).toContain('2 KB │')
  })

  it('has a head and no rows for an empty relation', () => {
    expect(formatRelation(columns, [], 'json')).toBe('[]\n')
    expect(formatRelation(columns, [], 'ndjson')).toBe('')
    expect(formatRelation(columns, [], 'csv')).toBe('name,size\n')
  })
})
