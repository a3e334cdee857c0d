import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Lakehouse, openLakehouse } from '../../src/index.js'

const root = await mkdtemp(join(tmpdir(), 'deltaic-damage-'))
afterAll(() => rm(root, { recursive: true, force: true }))

let lake: Lakehouse
let folder: string
let made = 0

beforeEach(async () => {
  folder = join(root, `lake-${made++}`)
  lake = await openLakehouse(folder)
  await lake.sql('CREATE TABLE t AS SELECT range AS id FROM range(1000); INSERT INTO t SELECT range + 1000 FROM range(1000)')
})
afterEach(() => lake.close())

const commit = (version: number) => join(folder, 't/_delta_log', `${String(version).padStart(20, '0')}.json`)
const dataFile = async (index: number) => {
  const files = await (await lake.table('t').snapshot()).files()
  return join(folder, 't', files[index]?.file ?? '')
}
const reopened = async () => {
  await lake.close()
  lake = await openLakehouse(folder)
  return lake
}
const readAll = async () => (await lake.sql('SELECT sum(id) AS s FROM t')).rows()

describe('a damaged table', () => {
  it('names the data file that is gone, and answers what does not need it', async () => {
    const file = await dataFile(1)
    await rm(file)
    await expect(readAll()).rejects.toMatchObject({ code: 'DATA_FILE_MISSING', kind: 'corrupt', details: { file } })
    await expect((await lake.table('t').snapshot()).scan().toArrow()).rejects.toMatchObject({ code: 'DATA_FILE_MISSING' })
    expect(await (await lake.sql('SELECT max(id) AS m FROM t WHERE id < 10')).rows()).toEqual([{ m: 9n }])
    expect(await (await lake.sql('SELECT count(*) AS n FROM t@v0')).rows()).toEqual([{ n: 1000n }])
  })

  it.each(['ndjson', 'arrow', 'table', 'parquet'] as const)('fails in %s as it does in rows', async (format) => {
    await rm(await dataFile(0))
    const reading = async () => {
      for await (const _ of (await lake.sql('SELECT * FROM t')).bytes(format));
    }
    await expect(reading()).rejects.toMatchObject({ code: 'DATA_FILE_MISSING' })
  })

  it.each([
    ['cut short', (file: string) => truncate(file, 100)],
    ['empty', (file: string) => truncate(file, 0)],
    ['something else', (file: string) => writeFile(file, 'not a Parquet file at all')],
  ])('names the data file that is %s', async (_, damage) => {
    const file = await dataFile(1)
    await damage(file)
    await expect(readAll()).rejects.toMatchObject({
      code: 'DATA_FILE_DAMAGED',
      kind: 'corrupt',
      details: { file },
      hint: expect.stringContaining('restore') as string,
    })
  })

  it('names the commit that is missing in the middle', async () => {
    await lake.sql('INSERT INTO t VALUES (1)')
    await rm(commit(1))
    await reopened()
    await expect(readAll()).rejects.toMatchObject({ code: 'LOG_GAP', kind: 'corrupt' })
  })

  it('names file and line of a commit that is cut short', async () => {
    const text = await readFile(commit(1), 'utf8')
    await writeFile(commit(1), text.slice(0, -20))
    await reopened()
    await expect(readAll()).rejects.toMatchObject({
      code: 'LOG_LINE_MALFORMED',
      details: { file: expect.stringContaining('00000000000000000001.json') as string, line: text.trimEnd().split('\n').length },
    })
    expect((await lake.tables()).map(({ name }) => name)).toEqual(['t'])
  })

  it('of features from the future is neither read nor written', async () => {
    const protocol = {
      minReaderVersion: 3,
      minWriterVersion: 7,
      readerFeatures: ['fromTheFuture'],
      writerFeatures: ['fromTheFuture'],
    }
    await writeFile(commit(2), `${JSON.stringify({ protocol })}\n`)
    await reopened()
    const refused = { code: 'FEATURE_UNSUPPORTED', kind: 'unsupported', details: { features: 'fromTheFuture' } }
    await expect(readAll()).rejects.toMatchObject(refused)
    await expect(lake.sql('INSERT INTO t VALUES (1)')).rejects.toMatchObject(refused)
    await expect(lake.sql('OPTIMIZE t')).rejects.toMatchObject(refused)
  })

  it('with writer features that are not known is read, and not written', async () => {
    const protocol = { minReaderVersion: 1, minWriterVersion: 7, writerFeatures: ['fromTheFuture'] }
    await writeFile(commit(2), `${JSON.stringify({ protocol })}\n`)
    await reopened()
    expect(await readAll()).toEqual([{ s: 1999000n }])
    const refused = { code: 'FEATURE_UNSUPPORTED', details: { features: 'fromTheFuture' } }
    await expect(lake.sql('INSERT INTO t VALUES (1)')).rejects.toMatchObject(refused)
    await expect(lake.table('t').append(Buffer.from('{"id":1}'))).rejects.toMatchObject(refused)
    await expect(lake.table('t').optimize()).rejects.toMatchObject(refused)
    await expect(lake.table('t').ingest(Buffer.from('{"id":1}'))).rejects.toMatchObject(refused)
    expect((await lake.table('t').snapshot()).version).toBe(2)
  })
})
