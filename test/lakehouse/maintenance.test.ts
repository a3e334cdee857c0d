import { describe, expect, it } from 'vitest'
import { MemoryStore } from '../../src/storage/memory.js'
import { openLake, rowsOf, skippingClock } from '../support/world.js'

const HOUR = 3_600_000

describe('VACUUM', () => {
  it('answers with what it deleted, and of a dry run with the files', async () => {
    const clock = skippingClock()
    await using lake = await openLake(new MemoryStore({ clock }), { clock })
    await lake.sql('CREATE TABLE t (id BIGINT); INSERT INTO t VALUES (1); INSERT INTO t VALUES (2); OPTIMIZE t')
    await expect(lake.sql('VACUUM t RETAIN 1 HOURS')).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
    clock.advance(169 * HOUR)
    expect(await rowsOf(lake, 'VACUUM t DRY RUN')).toEqual([{ path: expect.any(String) }, { path: expect.any(String) }])
    expect(await rowsOf(lake, 'VACUUM t LITE RETAIN 168 HOURS')).toEqual([
      { files_deleted: 2, bytes_deleted: expect.any(Number), folders_deleted: 0 },
    ])
    expect(await rowsOf(lake, 'SELECT count(*) AS n FROM t')).toEqual([{ n: 2 }])
  })
})
