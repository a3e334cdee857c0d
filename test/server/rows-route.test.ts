import { brotliCompressSync, gzipSync } from 'node:zlib'
import { tableFromArrays, tableToIPC } from 'apache-arrow'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Body, JSON_TYPE, jsonOf, type LakeServer, lines, NDJSON, problemOf, serveLake, streamed } from './lake-server.js'

let at: LakeServer
let count = 0

beforeAll(async () => {
  at = await serveLake({ limits: { bodyBytesMax: 1_000_000 } })
})
afterAll(() => at[Symbol.asyncDispose]())

interface Taken {
  readonly version: number
  readonly rows: number
  readonly rejected: number
  readonly replayed: boolean
}

async function newTable(columns = 'id BIGINT, url STRING'): Promise<string> {
  const table = `t${count++}`
  await at.lake.sql(`CREATE TABLE ${table} (${columns})`)
  return table
}

const send = (table: string, body: Body, headers: Record<string, string> = NDJSON, query = '') =>
  at.post(`/v1/tables/${table}/rows${query}`, body, headers)

const idsOf = async (table: string) => (await at.rows(`SELECT id FROM ${table} ORDER BY id`)).map(({ id }) => id)

describe('POST /v1/tables/:table/rows', () => {
  const rows = [
    { id: 1, url: '/a' },
    { id: 2, url: 'é,"😀"' },
  ]
  const csv = 'id,url\n1,/a\n2,"é,""😀"""\n'
  const arrow = tableToIPC(tableFromArrays({ id: BigInt64Array.from([1n, 2n]), url: ['/a', 'é,"😀"'] }), 'stream')

  it.each<[string, Body, Record<string, string>]>([
    ['NDJSON', lines(rows), NDJSON],
    ['NDJSON under its other name', lines(rows), { 'content-type': 'application/jsonl; charset=utf-8' }],
    ['NDJSON without the last newline', lines(rows).trimEnd(), NDJSON],
    ['a JSON array', JSON.stringify(rows, undefined, 2), JSON_TYPE],
    ['CSV', csv, { 'content-type': 'text/csv' }],
    ['CSV with CRLF', csv.replaceAll('\n', '\r\n'), { 'content-type': 'text/csv' }],
    ['an Arrow stream', arrow.slice(), { 'content-type': 'application/vnd.apache.arrow.stream' }],
    ['NDJSON in gzip', gzipSync(lines(rows)), { ...NDJSON, 'content-encoding': 'gzip' }],
    ['NDJSON in br', brotliCompressSync(lines(rows)), { ...NDJSON, 'content-encoding': 'br' }],
    ['CSV in gzip', gzipSync(csv), { 'content-type': 'text/csv', 'content-encoding': 'gzip' }],
  ])('takes %s', async (_what, body, headers) => {
    const table = await newTable()
    expect(await jsonOf(await send(table, body, headers))).toEqual({ version: 1, rows: 2, rejected: 0, replayed: false })
    expect(await at.rows(`SELECT id, url FROM ${table} ORDER BY id`)).toEqual(rows)
  })

  it('takes one JSON object as one row', async () => {
    const table = await newTable()
    expect(await jsonOf(await send(table, '{"id": 5, "url": "/one"}', JSON_TYPE))).toMatchObject({ rows: 1 })
    expect(await idsOf(table)).toEqual([5])
  })

  it('takes a body of unknown length as it comes', async () => {
    const table = await newTable()
    const body = (async function* () {
      for (let id = 0; id < 50; id++) {
        const line = lines([{ id, url: '/slow' }])
        yield Buffer.from(line.slice(0, 7))
        yield Buffer.from(line.slice(7))
      }
    })()
    const response = await fetch(`${at.url}/v1/tables/${table}/rows`, streamed(body))
    expect(await jsonOf(response)).toMatchObject({ rows: 50 })
  })

  it('is visible when it is answered', async () => {
    const table = await newTable()
    for (let id = 1; id <= 5; id++) {
      const { version } = await jsonOf<Taken>(await send(table, lines([{ id }])))
      expect(await at.rows(`SELECT count(*) AS n FROM ${table} VERSION AS OF ${version}`)).toEqual([{ n: id }])
      expect(await at.rows(`SELECT count(*) AS n FROM ${table}`)).toEqual([{ n: id }])
    }
  })

  it('shares commits among requests of one time', async () => {
    const table = await newTable()
    const answers = await Promise.all(
      Array.from({ length: 64 }, async (_, n) => jsonOf<Taken>(await send(table, lines([{ id: n * 2 }, { id: n * 2 + 1 }])))),
    )
    expect(answers.every(({ rows: taken, replayed }) => taken === 2 && !replayed)).toBe(true)
    const versions = new Set(answers.map(({ version }) => version))
    expect(versions.size).toBeLessThan(32)
    expect(await idsOf(table)).toEqual(Array.from({ length: 128 }, (_, id) => id))
    const { commits } = await jsonOf<{ commits: unknown[] }>(await at.get(`/v1/tables/${table}/history`))
    expect(commits).toHaveLength(versions.size + 1)
  })

  it('makes a table from the rows when it is asked to', async () => {
    expect(await problemOf(await send('made', lines(rows)))).toMatchObject({ status: 404, code: 'TABLE_NOT_FOUND' })
    expect(await jsonOf(await send('made', lines(rows), NDJSON, '?create=true'))).toMatchObject({ rows: 2 })
    expect(await at.rows('SELECT id, url FROM made ORDER BY id')).toEqual(rows)
  })
})

describe('rows that are broken', () => {
  const broken = `${lines([{ id: 1 }])}{"id": \n{"id": "many"}\n${lines([{ id: 4 }])}`

  it('fail their request with line numbers and reasons, and nothing is taken', async () => {
    const table = await newTable()
    const response = await send(table, broken)
    expect(response.status).toBe(422)
    const { code, details } = await problemOf(response)
    expect(code).toBe('ROWS_INVALID')
    expect(details).toMatchObject({
      rejected: 2,
      lines: [
        { line: 2, reason: expect.any(String) },
        { line: 3, reason: expect.any(String) },
      ],
    })
    expect(await idsOf(table)).toEqual([])
  })

  it('are left out, and told, with ?onError=reject', async () => {
    const table = await newTable()
    const answer = await jsonOf(await send(table, broken, NDJSON, '?onError=reject'))
    expect(answer).toMatchObject({
      rows: 2,
      rejected: 2,
      replayed: false,
      rejects: [{ line: 2 }, { line: 3, raw: '{"id": "many"}' }],
    })
    expect(await idsOf(table)).toEqual([1, 4])
  })

  it('do no harm to requests that share the commit', async () => {
    const table = await newTable()
    const bodies = Array.from({ length: 24 }, (_, id) => (id % 3 === 0 ? `{"id": ${id}}\n{broken\n` : lines([{ id }])))
    const statuses = await Promise.all(bodies.map(async (body) => (await send(table, body)).status))
    expect(statuses).toEqual(bodies.map((_, id) => (id % 3 === 0 ? 422 : 200)))
    expect(await idsOf(table)).toEqual(Array.from({ length: 24 }, (_, id) => id).filter((id) => id % 3 !== 0))
  })

  it.each<[string, Body, Record<string, string>]>([
    ['gzip that is none', 'plain', { ...NDJSON, 'content-encoding': 'gzip' }],
    ['gzip that breaks off', gzipSync(lines([{ id: 1 }])).subarray(0, 20), { ...NDJSON, 'content-encoding': 'gzip' }],
    ['Arrow that is none', 'plain', { 'content-type': 'application/vnd.apache.arrow.stream' }],
    ['Parquet that is none', 'plain', { 'content-type': 'application/vnd.apache.parquet' }],
    ['JSON that is none', '[{"id": 1}', JSON_TYPE],
  ])('%s is refused', async (_what, body, headers) => {
    const table = await newTable()
    const response = await send(table, body, headers)
    expect(await problemOf(response)).toMatchObject({ kind: 'invalid' })
    expect(await idsOf(table)).toEqual([])
  })
})

describe('a producer', () => {
  it('that repeats itself gets the first answer, and nothing doubles', async () => {
    const table = await newTable()
    const headers = { ...NDJSON, 'producer-id': 'collector-7', 'producer-sequence': '42' }
    const first = await jsonOf<Taken>(await send(table, lines([{ id: 1 }]), headers))
    expect(first).toEqual({ version: 1, rows: 1, rejected: 0, replayed: false })
    await jsonOf(await send(table, lines([{ id: 2 }])))
    expect(await jsonOf(await send(table, lines([{ id: 1 }]), headers))).toEqual({ ...first, replayed: true })
    expect(await idsOf(table)).toEqual([1, 2])
  })

  it('that repeats itself at the same time writes once', async () => {
    const table = await newTable()
    const headers = { ...NDJSON, 'producer-id': 'p', 'producer-sequence': '0' }
    const answers = await Promise.all(
      Array.from({ length: 8 }, async () => jsonOf<Taken>(await send(table, lines([{ id: 1 }]), headers))),
    )
    expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1)
    expect(new Set(answers.map(({ version }) => version)).size).toBe(1)
    expect(await idsOf(table)).toEqual([1])
  })

  it('that goes back to a number it never used is a conflict', async () => {
    const table = await newTable()
    const number = (sequence: number) => ({ ...NDJSON, 'producer-id': 'p', 'producer-sequence': String(sequence) })
    await jsonOf(await send(table, lines([{ id: 1 }]), number(5)))
    expect(await problemOf(await send(table, lines([{ id: 2 }]), number(3)))).toMatchObject({
      status: 409,
      code: 'SEQUENCE_OUT_OF_ORDER',
    })
  })

  it('may name a batch with a key instead', async () => {
    const table = await newTable()
    const headers = { ...NDJSON, 'idempotency-key': '5f0c' }
    expect(await jsonOf(await send(table, lines([{ id: 1 }]), headers))).toMatchObject({ replayed: false })
    expect(await jsonOf(await send(table, lines([{ id: 1 }]), headers))).toMatchObject({ version: 1, rows: 1, replayed: true })
    expect(await jsonOf(await send(table, lines([{ id: 2 }]), { ...headers, 'idempotency-key': '5f0d' }))).toMatchObject({
      replayed: false,
    })
    expect(await idsOf(table)).toEqual([1, 2])
  })

  it.each<[string, Record<string, string>]>([
    ['an id without a number', { 'producer-id': 'p' }],
    ['a number without an id', { 'producer-sequence': '1' }],
    ['a key beside them', { 'producer-id': 'p', 'producer-sequence': '1', 'idempotency-key': 'k' }],
    ['a number that is none', { 'producer-id': 'p', 'producer-sequence': 'first' }],
    ['a number below 0', { 'producer-id': 'p', 'producer-sequence': '-1' }],
    ['a fraction', { 'producer-id': 'p', 'producer-sequence': '1.5' }],
    ['a number too large to be exact', { 'producer-id': 'p', 'producer-sequence': '9007199254740993' }],
    ['an empty id', { 'producer-id': '', 'producer-sequence': '1' }],
    ['the name of a key', { 'producer-id': 'key:k', 'producer-sequence': '0' }],
    ['a name without end', { 'idempotency-key': 'k'.repeat(256) }],
  ])('is refused with %s', async (_what, headers) => {
    const table = await newTable()
    expect(await problemOf(await send(table, lines([{ id: 1 }]), { ...NDJSON, ...headers }))).toMatchObject({
      status: 400,
      code: 'ARGUMENT_INVALID',
    })
  })
})

describe('a body', () => {
  const large = Buffer.alloc(3_000_000, lines([{ id: 1, url: '/'.repeat(90) }]))

  it('over the limit is refused by its declared length', async () => {
    const table = await newTable()
    expect(await problemOf(await send(table, large))).toMatchObject({ status: 413, code: 'BODY_TOO_LARGE' })
  })

  it('over the limit is refused when it turns out to be', async () => {
    const table = await newTable()
    const body = (async function* () {
      for (let start = 0; start < large.length; start += 50_000) yield large.subarray(start, start + 50_000)
    })()
    const response = await fetch(`${at.url}/v1/tables/${table}/rows`, streamed(body))
    expect(await problemOf(response)).toMatchObject({ status: 413, code: 'BODY_TOO_LARGE' })
    expect(await idsOf(table)).toEqual([])
  })

  it('that unpacks to more than the limit is refused', async () => {
    const table = await newTable()
    const packed = gzipSync(large)
    expect(packed.length).toBeLessThan(100_000)
    expect(await problemOf(await send(table, packed, { ...NDJSON, 'content-encoding': 'gzip' }))).toMatchObject({ status: 413 })
    expect(await idsOf(table)).toEqual([])
  })

  it.each<[string, Record<string, string>]>([
    ['plain text', { 'content-type': 'text/plain' }],
    ['another character set', { 'content-type': 'text/csv; charset=latin1' }],
    ['another encoding', { ...NDJSON, 'content-encoding': 'deflate' }],
  ])('of %s is refused with a hint', async (_what, headers) => {
    const table = await newTable()
    const problem = await problemOf(await send(table, lines([{ id: 1 }]), headers))
    expect(problem).toMatchObject({ status: 415, code: 'INPUT_FORMAT_UNKNOWN', hint: expect.any(String) })
  })

  it('that curl sends without a word of its type is NDJSON', async () => {
    const table = await newTable()
    const sent = await send(table, lines([{ id: 1 }]), { 'content-type': 'application/x-www-form-urlencoded' })
    expect(await jsonOf(sent)).toMatchObject({ rows: 1 })
  })

  it('of no type at all is refused', async () => {
    const table = await newTable()
    expect(await problemOf(await send(table, Buffer.from(lines([{ id: 1 }])), {}))).toMatchObject({ status: 415 })
  })
})
