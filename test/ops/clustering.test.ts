import { describe, expect, it } from 'vitest'
import { clusteringMark, planClustering } from '../../src/ops/clustering-plan.js'
import { hilbertAxes, interleaved } from '../../src/ops/curves.js'
import { MemoryStore } from '../../src/storage/memory.js'
import { openLake, openWorld, rowsOf } from '../support/world.js'

const world = await openWorld()

describe('the Hilbert curve', () => {
  it.each([
    [1, 3],
    [2, 4],
    [3, 3],
    [4, 2],
  ])('of %i columns of %i bits goes through every place once, and each step is to a neighbour', async (columns, bits) => {
    const names = Array.from({ length: columns }, (_, at) => `"x${at}"`)
    const cells = names.map((name, at) => `((i >> ${at * bits}) & ${2 ** bits - 1})::BIGINT AS ${name}`)
    const grid = `SELECT i, ${cells.join(', ')} FROM range(${2 ** (bits * columns)}) r(i)`
    const path = `SELECT i, ${interleaved(names, bits)} AS place FROM (${hilbertAxes(grid, names, bits)})`
    const far = names.map((name) => `abs(${name} - lag(${name}) OVER (ORDER BY place))`).join(' + ')
    const [found] = await world.database.rows<{ places: bigint; steps: bigint | null; last: bigint }>(
      `SELECT count(DISTINCT place) AS places, max(step)::BIGINT AS steps, max(place)::BIGINT AS last ` +
        `FROM (SELECT place, ${far} AS step FROM (${path}) JOIN (${grid}) USING (i))`,
    )
    const size = 2n ** BigInt(bits * columns)
    expect(found).toEqual({ places: size, steps: 1n, last: size - 1n })
  })
})

describe('planClustering', () => {
  const file = (name: string, sizeBytes: number, mark = {}) => ({
    name,
    sizeBytes,
    partitionValues: {},
    tags: undefined,
    clusteringProvider: undefined,
    ...mark,
  })
  const names = (groups: readonly (readonly { readonly name: string }[])[]) =>
    groups.map((group) => group.map(({ name }) => name))
  const GIB = 2 ** 30
  const mine = (cube: string) => clusteringMark(cube, ['a'])
  const others = clusteringMark('o', ['b'])

  it('takes new files and young clusters together, and leaves full ones and those of other columns', () => {
    const files = [file('new', 1), file('young', 1, mine('1')), file('full', 101 * GIB, mine('2')), file('other', 1, others)]
    expect(names(planClustering(files, ['a'], false))).toEqual([['new', 'young']])
    expect(names(planClustering(files, ['a'], true))).toEqual([['new', 'young', 'other']])
  })

  it('has nothing to do where all is one cluster, or full', () => {
    expect(planClustering([file('x', 1, mine('1')), file('y', 2, mine('1'))], ['a'], true)).toEqual([])
    expect(planClustering([file('full', 101 * GIB, mine('2'))], ['a'], false)).toEqual([])
    expect(planClustering([], ['a'], false)).toEqual([])
  })

  it('makes clusters of a size that can be sorted', () => {
    const files = Array.from({ length: 4 }, (_, at) => file(String(at), 60 * GIB))
    expect(names(planClustering(files, ['a'], false))).toEqual([
      ['0', '1'],
      ['2', '3'],
    ])
  })
})

describe('OPTIMIZE of a clustered table', () => {
  const ROWS = 4000
  async function made(more = '') {
    const lake = await openLake(new MemoryStore())
    await lake.sql(`CREATE TABLE t (x BIGINT, s STRUCT<y: STRING>) CLUSTER BY (x, s.y) ${more}`)
    for (let at = 0; at < 4; at++)
      await lake.sql(
        `INSERT INTO t SELECT (i * 7919) % ${ROWS}, {'y': 'k' || lpad(((i * 104729) % ${ROWS})::VARCHAR, 5, '0')} FROM range(${at * 1000}, ${at * 1000 + 1000}) r(i)`,
      )
    return lake
  }
  type Lake = Awaited<ReturnType<typeof made>>
  const digest = (lake: Lake) => rowsOf(lake, `SELECT count(*) AS n, sum(hash(x, s))::VARCHAR AS h FROM t`)
  const skippedBy = async (lake: Lake, where: string) => {
    const result = await lake.sql(`SELECT count(*) FROM t WHERE ${where}`)
    await result.rows()
    return result.stats.filesSkipped / (result.stats.filesRead + result.stats.filesSkipped)
  }
  const marks = async (lake: Lake) =>
    (await (await lake.deltaOf('t').snapshot()).files()).files.map(({ clusteringProvider, tags }) => [
      clusteringProvider,
      tags?.['ZCUBE_ZORDER_BY'],
    ])

  it.each(['none', 'name'])(
    'keeps every row, lets conditions skip files, and says what it did (column mapping %s)',
    async (mode) => {
      await using lake = await made(`TBLPROPERTIES ('delta.columnMapping.mode' = '${mode}')`)
      const before = await digest(lake)
      const targetFileSizeBytes = Math.ceil((await lake.table('t').detail()).bytes / 16)
      expect(await lake.table('t').optimize({ targetFileSizeBytes })).toMatchObject({ filesAdded: 16, filesRemoved: 4 })
      expect(await digest(lake)).toEqual(before)
      expect(new Set((await marks(lake)).map(String))).toEqual(new Set(['liquid,["x","s.y"]']))
      for (const where of ['x BETWEEN 100 AND 200', "s.y BETWEEN 'k03000' AND 'k03100'"])
        expect(await skippedBy(lake, where)).toBeGreaterThan(0.4)
      const commit = await lake.deltaOf('t').commitIfKept(5)
      expect(commit?.commitInfo).toMatchObject({
        operation: 'OPTIMIZE',
        operationParameters: { predicate: '[]', zOrderBy: '[]', clusterBy: '["x","s.y"]', isFull: false, auto: false },
      })
    },
  )

  it('takes up what is new, and with FULL what was clustered otherwise', async () => {
    await using lake = await made()
    await lake.sql('OPTIMIZE t')
    expect(await rowsOf(lake, 'OPTIMIZE t')).toMatchObject([{ files_added: 0 }])
    await lake.sql(`INSERT INTO t SELECT -1, {'y': 'new'}`)
    expect(await rowsOf(lake, 'OPTIMIZE t')).toMatchObject([{ files_added: 1, files_removed: 2 }])
    await lake.sql('ALTER TABLE t CLUSTER BY (x)')
    expect(await rowsOf(lake, 'OPTIMIZE t')).toMatchObject([{ files_added: 0 }])
    const before = await digest(lake)
    expect(await rowsOf(lake, 'OPTIMIZE t FULL')).toMatchObject([{ files_added: 1, files_removed: 1 }])
    expect(await marks(lake)).toEqual([['liquid', '["x"]']])
    expect(await digest(lake)).toEqual(before)
  })

  it.each([['OPTIMIZE t ZORDER BY (x)'], ['OPTIMIZE t WHERE x = 1'], ['OPTIMIZE plain FULL']])('refuses %s', async (text) => {
    await using lake = await made()
    await lake.sql('CREATE TABLE plain (x INT)')
    await expect(lake.sql(text)).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
  })
})
