import { writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { gzipSync } from 'node:zlib'
import { beforeAll, describe, expect, it } from 'vitest'
import { useCli } from './cli.js'

const cli = useCli()
const ACCESS_LOG = resolve(import.meta.dirname, '../../data/access.log')

describe('ingest', () => {
  const file = async (name: string, body: string | Uint8Array) => {
    await writeFile(join(cli.folder(), name), body)
    return name
  }
  const csv = async (query: string) => (await cli.run(['sql', query, '-o', 'csv'])).stdout.trim().split('\n').slice(1).join(' ')
  const lines = (from: number, count: number) =>
    Array.from({ length: count }, (_, i) => `{"n": ${from + i}, "s": "x"}\n`).join('')

  beforeAll(async () => {
    await cli.run(['sql', 'CREATE TABLE n (n BIGINT, s STRING)'])
  })

  it('loads a web server’s log, names its broken line, and keeps that line', async () => {
    const words = [
      'ingest',
      'visits',
      ACCESS_LOG,
      '--format',
      'combined',
      '--create',
      '--on-error',
      'reject',
      '--batch-rows',
      '500',
    ]
    const { code, stdout, stderr } = await cli.run(words)
    expect([code, stdout]).toEqual([
      0,
      expect.stringMatching(/^1,999 rows into visits, 4 commits, version \d+, .*, 1 line rejected into visits__rejects\n$/),
    ])
    expect(stderr).toMatch(/^line 1201: .+\n$/)
    expect(await csv('SELECT count(*) FROM visits')).toBe('1999')
    expect(await csv('SELECT count(*) FROM visits__rejects')).toBe('1')
  })

  it('loads nothing when a line fails it', async () => {
    const { code, stdout, stderr } = await cli.run(['ingest', 'strict', ACCESS_LOG, '--format', 'combined', '--create'])
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toMatch(/^error: line 1201: .+\nhint: nothing was taken.*--on-error reject\n$/)
    const bad = await file('bad.ndjson', '{"n": 1}\n{"n": "x"}\nnonsense\n')
    const failed = await cli.run(['ingest', 'n', bad, '-o', 'json'])
    expect(failed.code).toBe(1)
    expect(JSON.parse(failed.stderr)).toMatchObject({
      error: { code: 'ROWS_INVALID', details: { lines: [{ line: 2 }, { line: 3 }] } },
    })
    expect(await csv('SELECT count(*) FROM n')).toBe('0')
  })

  it('loads several files, plain and compressed, by their names', async () => {
    const files = [
      await file('a.ndjson', lines(0, 10)),
      await file('b.ndjson.gz', gzipSync(lines(10, 10))),
      await file('c.csv', 'n,s\n20,x\n21,x\n'),
      await file('d.json', '[{"n": 22, "s": "x"}]'),
    ]
    const { code, stdout } = await cli.run(['ingest', 'n', ...files])
    expect([code, stdout.split('\n').length]).toEqual([0, 5])
    expect(stdout).toMatch(/^a\.ndjson: 10 rows into n, 1 commit, version \d+, /)
    expect(await csv('SELECT count(*), sum(n)::BIGINT FROM n')).toBe('23,253')
    const loads = JSON.parse((await cli.run(['ingest', 'n', await file('e.ndjson', lines(0, 1)), '-o', 'json'])).stdout)
    expect(loads).toMatchObject([{ table: 'n', file: 'e.ndjson', rowsAdded: 1, commits: 1, replayed: false, rejects: [] }])
  })

  it('loads a file of a producer once, whatever came between', async () => {
    const [one, two] = [await file('one.ndjson', lines(0, 5)), await file('two.ndjson', lines(5, 5))]
    await cli.run(['sql', 'CREATE TABLE once (n BIGINT, s STRING)'])
    const load = async (...words: string[]) => (await cli.run(['ingest', 'once', ...words, '--producer', 'p'])).stdout
    expect(await load(one)).toMatch(/^5 rows into once/)
    expect(await load(two)).toMatch(/^5 rows into once/)
    expect(await load(one)).toMatch(/^5 rows were in once already, version 1; nothing written/)
    expect(await load(await file('renamed.ndjson', lines(5, 5)), one)).toMatch(
      /^renamed\.ndjson: 5 rows were in once already.*\none\.ndjson: 5 rows were/,
    )
    expect(await csv('SELECT count(*) FROM once')).toBe('10')
  })

  it('numbers batches as the producer says', async () => {
    await cli.run(['sql', 'CREATE TABLE numbered (n BIGINT, s STRING)'])
    const send = async (sequence: string, stdin: string) =>
      await cli.run(['ingest', 'numbered', '-', '--producer', 'p', '--sequence', sequence, '-o', 'json'], { stdin })
    expect(JSON.parse((await send('1', lines(0, 3))).stdout)).toMatchObject([{ rowsAdded: 3, version: 1, replayed: false }])
    expect(JSON.parse((await send('2', lines(3, 3))).stdout)).toMatchObject([{ rowsAdded: 3, version: 2, replayed: false }])
    expect(JSON.parse((await send('1', lines(0, 3))).stdout)).toMatchObject([{ rowsAdded: 3, version: 1, replayed: true }])
    expect(await csv('SELECT count(*) FROM numbered')).toBe('6')
    expect((await cli.run(['ingest', 'numbered', '-', '--producer', 'p'], { stdin: lines(0, 1) })).code).toBe(2)
  })

  it('says what was loaded before a file failed', async () => {
    await cli.run(['sql', 'CREATE TABLE partly (n BIGINT, s STRING)'])
    const { code, stdout, stderr } = await cli.run([
      'ingest',
      'partly',
      await file('good.ndjson', lines(0, 2)),
      await file('bad.ndjson', 'x\n'),
    ])
    expect(code).toBe(1)
    expect(stdout).toMatch(/^2 rows into partly/)
    expect(stderr).toMatch(/bad\.ndjson was not loaded; those before it were\nerror: line 1: /)
  })
})
