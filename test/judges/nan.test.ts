// Other writers leave NaN out of the bounds in the footers of their files, and of the log.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { openLakehouse } from '../../src/index.js'
import { describeWhen } from '../support/needs.js'
import { peers, startDeltalake } from '../support/peers.js'
import { done } from './engines.js'

describeWhen(peers.available('deltalake'), peers.reason('deltalake'), 'NaN that delta-rs wrote', () => {
  it('is found by comparisons that hold for nothing else in its file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'deltaic-nan-'))
    await using writer = await startDeltalake(folder)
    const sql = "SELECT * FROM (VALUES (1, 1.5::DOUBLE, 1.5::FLOAT), (2, 'nan', 'nan')) AS v(id, d, f)"
    done(await writer.run({ op: 'append', table: 't', sql }))
    await using lake = await openLakehouse(folder)
    for (const condition of ['d > 100', 'f > 100', "d = 'nan'", "f >= 'nan'", 'd NOT BETWEEN 0 AND 100'])
      expect(await (await lake.sql(`SELECT id FROM t WHERE ${condition}`)).rows(), condition).toEqual([{ id: 2 }])
    expect(await (await lake.sql('SELECT max(d) AS d, max(f) AS f FROM t')).rows()).toEqual([{ d: Number.NaN, f: Number.NaN }])
    rmSync(folder, { recursive: true })
  })
})
