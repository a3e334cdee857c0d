import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  canonicalFilePath,
  decodeFilePath,
  encodeFilePath,
  isAbsoluteFilePath,
  partitionFolder,
  rootSpellings,
} from '../../src/protocol/file-path.js'

const segment = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }).filter((text) => !text.includes('/'))
const path = fc.array(segment, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'))

describe('data file paths', () => {
  it('decode(encode(path)) is path', () => {
    fc.assert(
      fc.property(path, (text) => {
        expect(decodeFilePath(encodeFilePath(text))).toBe(text)
      }),
    )
  })

  it('are plain ASCII in the log', () => {
    fc.assert(
      fc.property(path, (text) => {
        expect(encodeFilePath(text)).toMatch(/^[\x21-\x7e]+$/)
      }),
    )
  })

  it('are decoded once: an escape of an escape stays one, a plus stays a plus', () => {
    expect(decodeFilePath('c2=+%20%253D%25250/part-0.parquet')).toBe('c2=+ %3D%250/part-0.parquet')
    expect(decodeFilePath('50%/part')).toBe('50%/part')
  })

  it.each([
    ['/tmp/t/a.parquet', true],
    ['file:///tmp/t/a.parquet', true],
    ['s3a://bucket/t/a.parquet', true],
    ['abfss://c@account/t/a', true],
    ['day=2024-01-01/a.parquet', false],
    ['a=x:y/part.parquet', false],
    ['part-0.parquet', false],
  ])('knows whether %s is absolute: %s', (text, absolute) => {
    expect(isAbsoluteFilePath(text)).toBe(absolute)
  })
})

describe('partition folders', () => {
  const values = fc.dictionary(fc.stringMatching(/^[a-z]{1,5}$/), fc.option(fc.string({ unit: 'binary', maxLength: 200 })), {
    minKeys: 1,
    maxKeys: 3,
  })

  it('are one folder a column, free of what stores and shells treat apart', () => {
    fc.assert(
      fc.property(values, (partition) => {
        const columns = Object.keys(partition)
        const folders = partitionFolder(columns, partition).split('/')
        expect(folders).toHaveLength(columns.length)
        for (const [index, folder] of folders.entries()) {
          expect(folder).toMatch(/^[a-z]+=[A-Za-z0-9_. %-]+$/)
          expect(folder.startsWith(`${columns[index]}=`)).toBe(true)
          expect(folder.length).toBeLessThan(120)
        }
      }),
    )
  })

  it('follow Hive: nothing is the default partition, the order is that of the columns', () => {
    expect(partitionFolder(['b', 'a'], { a: null, b: 'x/y=z' })).toBe('b=x%2Fy%3Dz/a=__HIVE_DEFAULT_PARTITION__')
    expect(partitionFolder(['a'], {})).toBe('a=__HIVE_DEFAULT_PARTITION__')
    expect(partitionFolder(['a'], { a: '' })).toBe('a=__HIVE_DEFAULT_PARTITION__')
    expect(partitionFolder([], {})).toBe('')
  })
})

describe('canonical paths', () => {
  it.each([
    [
      'file:///tmp/my%20lake/t',
      [
        'p=1/a%20b.parquet',
        'file:///tmp/my%20lake/t/p=1/a%20b.parquet',
        'file:/tmp/my%20lake/t/p=1/a%20b.parquet',
        '/tmp/my%20lake/t/p=1/a%20b.parquet',
        '/tmp/my lake/t/p=1/a b.parquet',
      ],
    ],
    [
      's3://bucket/t',
      [
        'p=1/a%20b.parquet',
        's3://bucket/t/p=1/a%20b.parquet',
        's3a://bucket/t/p=1/a b.parquet',
        's3n://bucket/t/p%3D1/a%20b.parquet',
      ],
    ],
    [
      'file:///tmp/caf%C3%A9',
      [
        'p=1/a%20b.parquet',
        '/tmp/café/p=1/a b.parquet',
        'file:///tmp/caf%C3%A9/p=1/a%20b.parquet',
        './p=1/.//a%20b.parquet',
        '/tmp/café//p=1/a b.parquet',
      ],
    ],
  ])('under %s all spellings of one file are one', (root, spellings) => {
    const roots = rootSpellings(root)
    expect(new Set(spellings.map((spelling) => canonicalFilePath(spelling, roots)))).toEqual(new Set(['p=1/a b.parquet']))
  })

  it('stay absolute for a file of another table, also of one whose name only begins alike', () => {
    const roots = rootSpellings('file:///tmp/t')
    expect(canonicalFilePath('file:///tmp/t2/a.parquet', roots)).toBe('/tmp/t2/a.parquet')
    expect(canonicalFilePath('s3://tmp/t/a.parquet', roots)).toBe('s3://tmp/t/a.parquet')
  })
})
