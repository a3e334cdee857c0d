import { describe, expect, it } from 'vitest'
import { deletionVectorId, fileKey } from '../../src/protocol/actions.js'
import { formatCommit, parseCommit } from '../../src/protocol/commit-file.js'

const protocol = { minReaderVersion: 1, minWriterVersion: 2 }
const metaData = { id: 'x', format: { provider: 'parquet' }, schemaString: '{}', partitionColumns: [], configuration: {} }
const add = (path: string) => ({ path, partitionValues: {}, size: 1, modificationTime: 2, dataChange: true })
const read = (text: string) => parseCommit(3, Buffer.from(text), 'T/_delta_log/3.json')

describe('commit files', () => {
  it('parse(format(actions)) has every action, sorted by kind', () => {
    const commitInfo = { operation: 'WRITE', txnId: 'é😀' }
    const txn = { appId: 'a', version: 7 }
    const remove = { path: 'b', dataChange: false }
    const cdc = { path: 'c', partitionValues: {}, size: 1, dataChange: false as const }
    const bytes = formatCommit([{ commitInfo }, { metaData }, { protocol }, { add: add('a') }, { remove }, { cdc }, { txn }])
    expect(parseCommit(3, bytes, 'f')).toEqual({
      version: 3,
      protocol,
      metaData,
      adds: [add('a')],
      removes: [remove],
      cdc: [cdc],
      txns: [txn],
      domains: [],
      commitInfo,
    })
  })

  it('pass over kinds and fields that are not known, empty lines and Windows line ends', () => {
    const commit = read('\r\n{"cdc":{"path":"x"}}\r\n{"future":1,"txn":{"appId":"a","version":1,"more":2}}\n\n{}\n')
    expect(commit.txns).toMatchObject([{ appId: 'a', version: 1 }])
    expect(commit.adds).toEqual([])
  })

  it.each(['', '\n', ' \r\n'])('are never none, as in %j', (text) => {
    expect(() => read(text)).toThrow(expect.objectContaining({ code: 'LOG_LINE_MALFORMED' }) as Error)
  })

  it('take what old writers left out', () => {
    const commit = read('{"add":{"path":"a","size":1}}\n{"remove":{"path":"b"}}\n{"metaData":{"id":"x","schemaString":"{}"}}')
    expect(commit.adds[0]?.partitionValues).toEqual({})
    expect(commit.removes[0]?.dataChange).toBe(true)
    expect(commit.metaData).toMatchObject({ partitionColumns: [], configuration: {} })
  })

  it.each([
    ['{"add":{"path":"a","size":1', 'not JSON'],
    ['[]', 'not a JSON object'],
    ['null', 'not a JSON object'],
    ['{"add":{"size":1}}', 'add without path'],
    ['{"add":{"path":"","size":1}}', 'add without path'],
    ['{"add":{"path":"a"}}', 'add without size'],
    ['{"add":{"path":"a","size":-1}}', 'add without size'],
    ['{"add":{"path":"a","size":1}}\n{"add":{"path":"a","size":1}}', 'two adds'],
    ['{"remove":{}}', 'remove without path'],
    ['{"protocol":{}}', 'protocol without versions'],
    [
      '{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}\n{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}',
      'two protocol',
    ],
    ['{"metaData":{"schemaString":""}}\n{"metaData":{"schemaString":""}}', 'two metaData'],
    ['{"txn":{"appId":1,"version":1}}', 'txn without appId'],
    ['{"txn":{"appId":"a","version":1.5}}', 'txn without appId or version'],
  ])('name file and line of %s', (text, why) => {
    const line = text.split('\n').length + 1
    expect(() => read(`{"commitInfo":{}}\n${text}\n{"commitInfo":{}}`)).toThrow(
      expect.objectContaining({
        code: 'LOG_LINE_MALFORMED',
        kind: 'corrupt',
        message: expect.stringContaining(why) as string,
        details: { file: 'T/_delta_log/3.json', line },
      }) as Error,
    )
  })
})

describe('logical files', () => {
  it('are a path and its deletion vector, and an absent offset is no zero', () => {
    const vector = { storageType: 'u', pathOrInlineDv: 'ab', sizeInBytes: 1, cardinality: 1 }
    expect(deletionVectorId(undefined)).toBeNull()
    expect(deletionVectorId(vector)).toBe('uab')
    expect(deletionVectorId({ ...vector, offset: 0 })).toBe('uab@0')
    expect(fileKey({ path: 'a', deletionVector: vector })).not.toBe(fileKey({ path: 'a' }))
  })
})
