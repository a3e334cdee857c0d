import { afterAll, beforeAll, expect, it } from 'vitest'
import { type AddFile, type Lakehouse, openLakehouse } from '../../src/index.js'

const [FEW, MANY] = [60, 600]
let lake: Lakehouse
beforeAll(async () => {
  lake = await openLakehouse('memory:file-selection')
  for (const files of [FEW, MANY]) {
    await lake.sql(`CREATE TABLE t${files} (id BIGINT, part INT) PARTITIONED BY (part)`)
    await (await lake.table(`t${files}`).transaction()).add(fabricated(files)).commit()
  }
})
afterAll(() => lake.close())

/** Ten rows of consecutive ids each, turn by turn in three partitions; of every seventh nothing is known. */
function* fabricated(files: number): Generator<AddFile> {
  for (let n = 0; n < files; n++) {
    const stats = { numRecords: 10, minValues: { id: n * 10 }, maxValues: { id: n * 10 + 9 }, nullCount: { id: 0 } }
    const known = n % 7 === 0 ? {} : { stats: JSON.stringify(stats) }
    const partitionValues = { part: String(n % 3) }
    yield { path: `f${n}.parquet`, partitionValues, size: 100 + n, modificationTime: 1, dataChange: true, ...known }
  }
}

it.each([FEW, MANY])('a condition keeps the files for which it holds, and each of its steps is counted: of %i', async (count) => {
  const snapshot = await lake.deltaOf(`t${count}`).snapshot()
  const part = 'part."part" = 1'
  // NULL where nothing is known, which does not keep a file by itself.
  const whole = `${part} AND (stat."maxValues"."id" >= 500 OR stat IS NULL)`
  const { files, bytesRead, filesSkipped, bytesSkipped, skippedBy } = await snapshot.files(whole, { steps: [part, part, whole] })
  const all = Array.from({ length: count }, (_, n) => n)
  const kept = all.filter((n) => n % 3 === 1 && (n % 7 === 0 || n >= 50))
  const bytes = (of: readonly number[]) => of.reduce((sum, n) => sum + 100 + n, 0)
  expect(files.map(({ file }) => file)).toEqual(kept.map((n) => `f${n}.parquet`))
  expect([bytesRead, bytesSkipped]).toEqual([bytes(kept), bytes(all) - bytes(kept)])
  expect(filesSkipped).toBe(count - kept.length)
  expect(skippedBy).toEqual([(count / 3) * 2, 0, count / 3 - kept.length])
  expect((await snapshot.files('FALSE')).files).toEqual([])
})
