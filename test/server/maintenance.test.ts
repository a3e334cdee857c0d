import { describe, expect, it } from 'vitest'
import { jsonOf, serveLake } from './lake-server.js'

interface Upkeep {
  readonly enabled: boolean
  readonly tables: readonly { readonly table: string; readonly files: number; readonly compactions: number }[]
}

describe('GET /v1/maintenance', () => {
  it('tells what the server did for its tables', async () => {
    await using server = await serveLake()
    await server.sql("CREATE TABLE t (id BIGINT) TBLPROPERTIES ('deltaic.maintenance.minFiles' = '4')")
    for (let id = 0; id < 4; id++)
      await server.post('/v1/tables/t/rows', `{"id": ${id}}\n`, { 'content-type': 'application/x-ndjson' })
    await server.lake.maintain().once()
    const { enabled, tables } = await jsonOf<Upkeep>(await server.get('/v1/maintenance'))
    expect(enabled).toBe(true)
    expect(tables).toMatchObject([{ table: 't', compactions: 1, failures: 0 }])
    expect(await server.rows('SELECT count(*) AS n FROM t')).toEqual([{ n: 4 }])
  })

  it('says that it is switched off where it is', async () => {
    await using server = await serveLake({ maintenance: false })
    expect(await jsonOf<Upkeep>(await server.get('/v1/maintenance'))).toEqual({ enabled: false, tables: [] })
  })
})
