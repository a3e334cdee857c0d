import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { DeltaError } from '../../src/base/errors.js'
import { GroupCommit } from '../../src/ingest/group-commit.js'
import { mergeBodies } from '../../src/ingest/parts.js'
import { MemoryStore } from '../../src/storage/memory.js'
import { createTable, openWorld, readRows } from '../support/world.js'

const world = await openWorld()
const body = (...chunks: (string | Buffer)[]) => {
  const bytes = chunks.map((chunk) => Buffer.from(chunk as string))
  return { kind: 'bytes' as const, chunks: bytes, sizeBytes: Buffer.concat(bytes).length }
}
const merged = (...bodies: ReturnType<typeof body>[]) =>
  mergeBodies(bodies.map((one, owner) => ({ owner, body: one, format: 'ndjson' as const }))).map(({ owners }) => ({
    text: Buffer.concat(owners.flatMap(({ chunks }) => [...chunks])).toString(),
    lines: owners.map(({ owner, lines }) => [owner, lines.start, lines.endExclusive]),
  }))

describe('mergeBodies', () => {
  it('puts bodies behind each other, and knows whose lines are whose', () => {
    expect(merged(body('a\nb\n'), body(''), body('c'), body('d\n', '\ne'))).toEqual([
      {
        text: 'a\nb\nc\nd\n\ne\n',
        lines: [
          [0, 1, 3],
          [1, 3, 3],
          [2, 3, 4],
          [3, 4, 7],
        ],
      },
    ])
  })

  it('leaves no carriage return and no byte order mark, wherever a chunk ends', () => {
    expect(merged(body('\ufeffa\r', '\nb\r\n'), body('c\rd\r\r\n'))).toEqual([
      {
        text: 'a\nb\nc\td\t\n',
        lines: [
          [0, 1, 3],
          [1, 3, 4],
        ],
      },
    ])
  })

  it('keeps a body that is not UTF-8 apart, though not one that a chunk cuts inside a character', () => {
    const [first, second] = [Buffer.from('é').subarray(0, 1), Buffer.from('é').subarray(1)]
    expect(merged(body('a\n'), body(first, second), body(second, first))).toEqual([
      { text: expect.anything(), lines: [[2, 0, Number.MAX_SAFE_INTEGER]] },
      {
        text: 'a\né\n',
        lines: [
          [0, 1, 2],
          [1, 2, 3],
        ],
      },
    ])
  })
})

describe('a request', () => {
  const line = fc.constantFrom(
    '{"id":1,"v":"x"}',
    '{"id":2}',
    '{"v":"\\u0000 \\\\x01"}',
    '{"id":null}',
    '{}',
    '',
    '  ',
    'broken',
    '{"id":"x"}',
    '{"id":3}\u0000',
    '{"id":4,\r"v":null}',
    '{"id":5} \u0001\u0002',
    '\ufeff{"id":6}',
    '{"other":1}',
  )
  const text = fc
    .tuple(fc.constantFrom('', '\ufeff'), fc.array(fc.tuple(line, fc.constantFrom('\n', '\r\n')), { maxLength: 5 }), line)
    .map(([mark, lines, last]) => Buffer.from(`${mark}${lines.map(([some, end]) => some + end).join('')}${last}`))
  const bytes = fc.oneof(
    { weight: 9, arbitrary: text },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 20 }).map((some) => Buffer.from(some)) },
  )
  const request = fc.record({ bytes, onError: fc.constantFrom('fail' as const, 'reject' as const) })

  /** What each request is told, and how many rows there are then. */
  async function send(requests: readonly { bytes: Buffer; onError: 'fail' | 'reject' }[], together: boolean) {
    const table = world.table(new MemoryStore())
    await createTable(table)
    const group = new GroupCommit(table, { lingerMs: 2, keepRejects: async () => {} })
    const answers: unknown[] = []
    const ask = async ({ bytes: some, onError }: (typeof requests)[0]) =>
      group.ingest({ body: body(some), format: 'ndjson', onError, batch: undefined }).then(
        ({ rows, rejects }) => ({ rows, lines: rejects.map(({ line: at }) => at) }),
        (error: DeltaError) => ({
          code: error.code,
          lines: (error.details['lines'] as { line: number }[]).map(({ line: at }) => at),
        }),
      )
    if (together) answers.push(...(await Promise.all(requests.map(ask))))
    else for (const one of requests) answers.push(await ask(one))
    await group.close()
    const rows = await readRows(world, table)
    await table.close()
    return { answers, rows: rows.map((row) => JSON.stringify(row)).toSorted() }
  }

  it('is answered in a group as it is alone', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(request, { minLength: 2, maxLength: 5 }), async (requests) => {
        expect(await send(requests, true)).toEqual(await send(requests, false))
      }),
      { numRuns: 40 },
    )
  })
})
