import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { openLakehouse } from '../../src/index.js'

it('the first rows that a query joins are the first of all rows, whatever the join keeps of them', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'deltaic-join-limit-'))
  const lake = await openLakehouse(join(folder, 'lake'))
  await lake.sql('CREATE TABLE big (k INT, id INT); CREATE TABLE dim (k INT)')
  for (const values of ['(4, 2), (4, 3), (1, 4)', '(4, -1)', '(3, 2), (3, -1)', '(1, 0)', '(3, 7)'])
    await lake.sql(`INSERT INTO big VALUES ${values}`)
  await lake.sql('INSERT INTO dim VALUES (1), (3)')
  const query = 'SELECT q.id FROM (SELECT * FROM big ORDER BY id, k LIMIT 3) q JOIN dim USING (k) ORDER BY id'
  for (let time = 0; time < 20; time++) expect(await (await lake.sql(query)).rows()).toEqual([{ id: -1 }, { id: 0 }])
  await lake.close()
  rmSync(folder, { recursive: true, force: true })
})
