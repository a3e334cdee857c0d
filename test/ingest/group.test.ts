import { describe, expect, it } from 'vitest'
import { GroupCommit } from '../../src/ingest/group-commit.js'
import type { IngestResult } from '../../src/ingest/group-read.js'
import type { IngestOptions } from '../../src/lakehouse/table-input.js'
import { MemoryStore } from '../../src/storage/memory.js'
import type { DeltaTable } from '../../src/table/delta-table.js'
import { FaultyStore } from '../support/faulty-store.js'
import { createTable, ndjson, openWorld, readRows } from '../support/world.js'

const world = await openWorld()

interface Sent {
  readonly body: Buffer
  readonly format?: NonNullable<IngestOptions['format']>
  readonly onError?: 'fail' | 'reject'
  readonly batch?: { readonly appId: string; readonly version: number }
}

/** Sends requests that come in at one time, so that they are one group. */
async function sendTogether(table: DeltaTable, ...sent: readonly Sent[]) {
  const kept: { line: number; reason: string; raw: string }[] = []
  const group = new GroupCommit(table, {
    lingerMs: 20,
    keepRejects: async (rejects) => {
      kept.push(...rejects)
    },
  })
  const results = await Promise.allSettled(
    sent.map(async ({ body, format = 'ndjson', onError = 'fail', batch }) =>
      group.ingest({ body: { kind: 'bytes', chunks: [body], sizeBytes: body.length }, format, onError, batch }),
    ),
  )
  await group.close()
  return {
    kept,
    results,
    rows: results.map((result) => (result.status === 'fulfilled' ? result.value.rows : (result.reason as { code: string }).code)),
    value: (at: number) => (results[at] as PromiseFulfilledResult<IngestResult>).value,
    reason: (at: number) => (results[at] as PromiseRejectedResult).reason as { code: string; details: { lines: object[] } },
  }
}

async function newTable(options: Parameters<typeof createTable>[1] = {}) {
  const store = new FaultyStore(new MemoryStore())
  const table = world.table(store)
  await createTable(table, options)
  await table.snapshot()
  return { store, table }
}

const idsOf = async (table: DeltaTable) => (await readRows(world, table)).map(({ id }) => id).toSorted((a, b) => a - b)
const row = (id: number) => ndjson({ id, v: `v${id}` })

describe('requests that come in together', () => {
  it('share one file and one commit, and each is told its own rows', async () => {
    const { store, table } = await newTable()
    const before = store.journal.length
    const sent = Array.from({ length: 50 }, (_, at) => ({
      body: Buffer.concat(Array.from({ length: at % 3 }, (_, of) => row(at * 10 + of))),
    }))
    const { rows, value } = await sendTogether(table, ...sent)
    expect(rows).toEqual(sent.map((_, at) => at % 3))
    expect([value(0).version, value(49).version]).toEqual([1, 1])
    const writes = store.journal.slice(before).filter((call) => call.startsWith('put') && !call.endsWith('.crc'))
    expect(writes.map((call) => call.split(' ')[0])).toEqual(['put-file', 'put-if-absent'])
    expect(await idsOf(table)).toHaveLength(49)
  })

  it.each([
    ['line feeds', '\n', '\n'],
    ['line feeds, then carriage returns too', '\n', '\r\n'],
    ['carriage returns, then none', '\r\n', '\n'],
  ])('are told apart whatever their lines end with: %s', async (_, first, second) => {
    const { table } = await newTable()
    const lines = (end: string, ...ids: readonly number[]) => ({
      body: Buffer.from(ids.map((id) => `{"id":${id},"v":"x"}${end}`).join('')),
    })
    const broken = { body: Buffer.from(`{"id":90}${second}nonsense${second}{"id":91}${second}`) }
    const { rows, reason } = await sendTogether(
      table,
      lines(first, 1, 2),
      lines(second, 3, 4),
      broken,
      lines(first, 5),
      lines(second, 6),
    )
    expect(rows).toEqual([2, 2, 'ROWS_INVALID', 1, 1])
    expect(reason(2).details.lines).toEqual([expect.objectContaining({ line: 2, raw: 'nonsense' })])
    expect(await idsOf(table)).toEqual([1, 2, 3, 4, 5, 6])
  })

  it('are told apart though one has no last line end, or blank lines, or a byte order mark, or nothing at all', async () => {
    const { table } = await newTable()
    const { rows } = await sendTogether(
      table,
      { body: Buffer.from('{"id":1}') },
      { body: Buffer.alloc(0) },
      { body: Buffer.from('\n\n{"id":2}\n  \n\t\n\r\n{"id":3}\n\n') },
      { body: Buffer.from('\ufeff{"id":4}\n') },
      { body: Buffer.from('\n') },
      { body: Buffer.from('{"id":5,\r"v":"a carriage return between"}\n{"id":6}') },
    )
    expect(rows).toEqual([1, 0, 2, 1, 0, 2])
    expect(await idsOf(table)).toEqual([1, 2, 3, 4, 5, 6])
  })

  it.each([
    ['a broken line', Buffer.from('{"id":8}\n{"id":\n{"id":9}\n'), 2, /not JSON/],
    ['an unknown field', ndjson({ id: 8, v: 'x' }, { id: 9, x: 1 }), 2, /unknown field "x"/],
    ['a value of another type', ndjson({ id: 8, v: 'x' }, { id: 'nine' }), 2, /field "id": expected long, got "nine"/],
    ['bytes that are not UTF-8', Buffer.concat([row(8), Buffer.from([0x7b, 0xff, 0x0a])]), 2, /not UTF-8/],
    ['no objects', Buffer.from('\n[1]\n'), 2, /not a JSON object/],
    ['half of a value', Buffer.from('{"id":1.5}\n'), 1, /field "id": expected long, got 1.5/],
    ['a truth for a number', Buffer.from('{"id":true}\n'), 1, /field "id": expected long, got true/],
    ['a number beyond 64 bits', Buffer.from('{"id":9223372036854775808}\n'), 1, /field "id": expected long/],
    ['a field that is named twice', Buffer.from('{"id":1,"id":2}\n'), 1, /named twice/],
  ])('fail alone for %s, with the line and the reason', async (_, body, line, reason) => {
    const { table } = await newTable()
    const sent = await sendTogether(table, { body: row(1) }, { body }, { body: row(2) })
    expect(sent.rows).toEqual([1, 'ROWS_INVALID', 1])
    expect(sent.reason(1).details.lines).toEqual([expect.objectContaining({ line, reason: expect.stringMatching(reason) })])
    expect(await idsOf(table)).toEqual([1, 2])
  })

  it('fail alone for a NULL where the table takes none, or have the line rejected', async () => {
    const { table } = await newTable({
      columns: [
        { name: 'id', type: 'BIGINT', nullable: false },
        { name: 'v', type: 'STRING' },
      ],
    })
    const sent = await sendTogether(
      table,
      { body: row(1) },
      { body: ndjson({ id: 2 }, { id: null }) },
      { body: ndjson({ v: 'no id' }) },
      { body: ndjson({ id: 3 }, { id: null, v: 'x' }, { id: 4 }), onError: 'reject' },
    )
    expect(sent.rows).toEqual([1, 'ROWS_INVALID', 'ROWS_INVALID', 2])
    expect(sent.reason(1).details.lines).toEqual([
      expect.objectContaining({ line: 2, reason: 'field "id" takes no NULL, and is null' }),
    ])
    expect(sent.reason(2).details.lines).toEqual([
      expect.objectContaining({ line: 1, reason: 'field "id" takes no NULL, and is missing' }),
    ])
    expect(sent.kept).toEqual([expect.objectContaining({ line: 2 })])
    expect(await idsOf(table)).toEqual([1, 3, 4])
  })

  it('fail alone for a partition that a table cannot name, and the others still share a commit', async () => {
    const columns = [
      { name: 'id', type: 'BIGINT' },
      { name: 'v', type: 'STRING', nullable: false },
    ]
    const { table } = await newTable({ columns, partitionBy: ['v'] })
    const sent = await sendTogether(table, { body: row(1) }, { body: ndjson({ id: 2, v: '' }) }, { body: row(3) })
    expect(sent.rows).toEqual([1, 'VALUE_NULL', 1])
    expect(sent.value(0).version).toBe(sent.value(2).version)
    expect(await idsOf(table)).toEqual([1, 3])
  })

  it('may be of several formats', async () => {
    const { table } = await newTable()
    const { rows } = await sendTogether(
      table,
      { body: row(1) },
      { body: Buffer.from('id,v\n2,b\n3,\n'), format: 'csv' },
      { body: Buffer.from('[{"id":4},{"v":"no id"}]'), format: 'json' },
      { body: Buffer.from('PAR1 but not really'), format: 'parquet' },
      { body: Buffer.from('nor this'), format: 'arrow' },
    )
    expect(rows).toEqual([1, 2, 2, 'ROWS_INVALID', 'ROWS_INVALID'])
    expect((await readRows(world, table)).map(({ id }) => id)).toEqual(expect.arrayContaining([1, 2, 3, 4, null]))
  })

  it('in reject mode leave their broken lines behind, counted from their own first line', async () => {
    const { table } = await newTable()
    const body = Buffer.from('{"id":1}\nbroken\n{"id":2}\n\n{"id":"x"}\n')
    const sent = await sendTogether(table, { body: row(9) }, { body, onError: 'reject' })
    expect(sent.value(1)).toMatchObject({ rows: 2, rejected: 2, replayed: false })
    expect(sent.value(1).rejects.map(({ line, raw }) => [line, raw])).toEqual([
      [2, 'broken'],
      [5, '{"id":"x"}'],
    ])
    expect(sent.kept).toEqual(sent.value(1).rejects)
  })

  it('need no commit when none of them has a row', async () => {
    const { store, table } = await newTable()
    const before = store.journal.length
    const { rows, value } = await sendTogether(table, { body: Buffer.from('\n') }, { body: Buffer.alloc(0) })
    expect([rows, value(0).version]).toEqual([[0, 0], 0])
    expect(store.journal.slice(before).filter((call) => call.startsWith('put') && !call.endsWith('.crc'))).toEqual([])
  })

  it('land in the partitions they belong to', async () => {
    const { table } = await newTable({ partitionBy: ['v'] })
    const values = ['a', 'b/c', 'ü', '', null, 'a=b', '%', ' ']
    const sent = values.map((v, id) => ({ body: ndjson({ id, v }) }))
    expect((await sendTogether(table, ...sent)).rows).toEqual(values.map(() => 1))
    const rows = await readRows(world, table)
    expect(Object.fromEntries(rows.map(({ id, v }) => [id, v]))).toEqual(
      Object.fromEntries(values.map((v, id) => [id, v === '' ? null : v])),
    )
  })
})

describe('a group whose rejected lines cannot be kept', () => {
  it('fails the request they came with, and no other', async () => {
    const { table } = await newTable()
    const group = new GroupCommit(table, { lingerMs: 20, keepRejects: async () => Promise.reject(new Error('no room')) })
    const send = async (body: Buffer) =>
      group.ingest({
        body: { kind: 'bytes', chunks: [body], sizeBytes: body.length },
        format: 'ndjson',
        onError: 'reject',
        batch: undefined,
      })
    const results = await Promise.allSettled([send(row(1)), send(Buffer.from('{"id":2}\nbroken\n')), send(row(3))])
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(await idsOf(table)).toEqual([1, 3])
    await group.close()
  })
})

describe('close', () => {
  it('waits for what was taken, and takes nothing more', async () => {
    const { table } = await newTable()
    const group = new GroupCommit(table, { lingerMs: 50, keepRejects: async () => {} })
    const request = {
      body: { kind: 'bytes' as const, chunks: [row(1)], sizeBytes: row(1).length },
      format: 'ndjson' as const,
      onError: 'fail' as const,
      batch: undefined,
    }
    const taken = group.ingest(request)
    let closed = false
    const closing = group.close().then(() => {
      closed = true
    })
    await expect(group.ingest(request)).rejects.toMatchObject({ code: 'CLOSED' })
    expect(await taken).toMatchObject({ rows: 1, version: 1 })
    await closing
    expect(closed).toBe(true)
  })
})
