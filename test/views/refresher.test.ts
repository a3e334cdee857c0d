import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type DeltaicEvent, type Lakehouse, openLakehouse } from '../../src/index.js'
import { isRefreshDue, refreshPolicy } from '../../src/lakehouse/refresh-policy.js'

const events: DeltaicEvent[] = []
let lake: Lakehouse
beforeAll(async () => {
  lake = await openLakehouse('memory:refresher', { events: (event) => events.push(event) })
  await lake.sql('CREATE TABLE t (k STRING, x INT); INSERT INTO t VALUES (NULL, 1)')
})
afterAll(() => lake.close())

describe('the refresher', () => {
  it('refreshes views by their policies, and leaves manual ones alone', async () => {
    const as = 'SELECT k, sum(x) AS x FROM t GROUP BY k'
    await lake.createView('eager', { as, properties: { 'deltaic.view.refresh.lag': '0 seconds' } })
    await lake.createView('lazy', {
      as,
      properties: { 'deltaic.view.refresh.lag': '1 day', 'deltaic.view.refresh.bytes': '1GB' },
    })
    await lake.createView('manual', {
      as,
      properties: { 'deltaic.view.refresh': 'manual', 'deltaic.view.refresh.lag': '0 seconds' },
    })
    await lake.sql(`INSERT INTO t VALUES ('a', 2)`)
    const refresher = lake.keepViewsFresh({ everyMs: 5 })
    await expect.poll(async () => (await lake.view('eager').detail()).behind, { timeout: 20_000 }).toBe(false)
    await refresher.close()
    expect([(await lake.view('lazy').detail()).behind, (await lake.view('manual').detail()).behind]).toEqual([true, true])
    expect(events.filter(({ type }) => type === 'degraded')).toEqual([])
  })

  it('goes by lag, bytes, and commits that changed nothing', () => {
    const policy = refreshPolicy({ 'deltaic.view.refresh.lag': '10 seconds', 'deltaic.view.refresh.bytes': '1KB' })
    const view = { behind: true, lagMs: 0, lagBytes: 0, watermarks: [{ name: 't', watermark: 1, version: 2 }] }
    expect(isRefreshDue(policy, view)).toBe(false)
    expect(isRefreshDue(policy, { ...view, lagMs: 10_000 })).toBe(true)
    expect(isRefreshDue(policy, { ...view, lagBytes: 1024 })).toBe(true)
    expect(isRefreshDue(policy, { ...view, behind: false, watermarks: [{ name: 't', watermark: 1, version: 200 }] })).toBe(true)
  })

  it.each(['deltaic.view.refresh', 'deltaic.view.refresh.lag', 'deltaic.view.refresh.bytes', 'deltaic.view.plan'])(
    'refuses a %s that says nothing',
    async (property) => {
      const made = lake.createView('bad', { as: 'SELECT k FROM t', properties: { [property]: 'often' } })
      await expect(made).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
    },
  )

  it('lets one of two refreshes at once write, and the other say so', async () => {
    await lake.sql(`INSERT INTO t VALUES ('a', 3)`)
    const results = await Promise.all([1, 2, 3].map(() => lake.refreshView('manual')))
    const outcomes = results.map(({ outcome }) => outcome)
    expect(outcomes.filter((outcome) => outcome === 'refreshed')).toHaveLength(1)
    const rows = await (await lake.sql('SELECT k, x FROM manual ORDER BY k', { stale: 'ok' })).rows()
    expect(rows).toEqual([
      { k: 'a', x: 5 },
      { k: null, x: 1 },
    ])
  })

  it('rebuilds by another definition, beside the state that answers', async () => {
    expect(await lake.rebuildView('manual', { as: 'SELECT k, count(*) AS n FROM t GROUP BY k' })).toMatchObject({ rowsAdded: 2 })
    expect(await (await lake.sql('SELECT * FROM manual ORDER BY n')).rows()).toEqual([
      { k: null, n: 1n },
      { k: 'a', n: 2n },
    ])
    expect((await lake.view('manual').detail()).properties).toMatchObject({ 'deltaic.view.refresh': 'manual' })
  })
})
