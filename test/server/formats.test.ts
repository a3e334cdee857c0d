import { describe, expect, it } from 'vitest'
import { negotiate, rowCompression, rowFormat } from '../../server/formats.js'

describe('content negotiation', () => {
  it.each([
    [undefined, 'json'],
    ['*/*', 'json'],
    ['application/json', 'json'],
    ['application/*', 'json'],
    ['APPLICATION/JSON; charset=utf-8', 'json'],
    ['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', 'json'],
    ['application/x-ndjson', 'ndjson'],
    ['application/jsonl', 'ndjson'],
    ['text/csv', 'csv'],
    ['text/csv;q=0.5, application/x-ndjson', 'ndjson'],
    ['text/csv, application/json', 'csv'],
    ['application/json;q=0, */*', 'ndjson'],
    ['application/vnd.apache.arrow.stream', 'arrow'],
    ['application/vnd.apache.parquet', 'parquet'],
    ['text/plain', 'table'],
  ])('Accept %s is answered as %s', (accept, format) => {
    expect(negotiate(accept)).toBe(format)
  })

  it.each(['image/png', 'application/json;q=0', '', 'text'])('Accept %j is refused', (accept) => {
    expect(() => negotiate(accept)).toThrow(expect.objectContaining({ code: 'NOT_ACCEPTABLE', status: 406 }))
  })
})

describe('the format of rows', () => {
  it.each([
    ['application/x-ndjson', 'ndjson'],
    ['application/jsonl; charset=UTF-8', 'ndjson'],
    ['application/json', 'json'],
    ['Text/CSV; charset="utf-8"', 'csv'],
    ['application/vnd.apache.arrow.stream', 'arrow'],
    ['application/vnd.apache.parquet', 'parquet'],
  ])('%s is %s', (type, format) => {
    expect(rowFormat(type)).toBe(format)
  })

  it.each([undefined, '', 'text/plain', 'text/csv; charset=latin1'])('%j is refused', (type) => {
    expect(() => rowFormat(type)).toThrow(expect.objectContaining({ code: 'INPUT_FORMAT_UNKNOWN' }))
  })

  it('may be gzip, br or zstd, and nothing else', () => {
    expect([undefined, 'identity', 'gzip', 'x-gzip', ' GZIP', 'br'].map(rowCompression)).toEqual([
      'none',
      'none',
      'gzip',
      'gzip',
      'gzip',
      'br',
    ])
    for (const encoding of ['deflate', 'gzip, br', 'constructor'])
      expect(() => rowCompression(encoding)).toThrow(expect.objectContaining({ code: 'INPUT_FORMAT_UNKNOWN' }))
  })
})
