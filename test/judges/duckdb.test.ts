// DuckDB's own delta extension reads what deltaic writes.
import { afterAll, expect, it } from 'vitest'
import { describeWhen } from '../support/needs.js'
import { type PeerReader, peers, startReader } from '../support/peers.js'
import { located } from './engines.js'
import { describeEachPlace, type Place, sharedLake } from './lakes.js'
import { buildTable, kindsOn } from './table-kinds.js'

function sharedReader(place: Place): () => PeerReader {
  let started: PeerReader | undefined
  afterAll(async () => started?.close())
  return () => {
    started ??= startReader('duckdb', { env: place.env })
    return started
  }
}

describeWhen(peers.available('duckdb'), peers.reason('duckdb'), 'duckdb', () => {
  describeEachPlace(
    (place) => {
      const lake = sharedLake(place)
      const reader = sharedReader(place)
      it.each(kindsOn(place).filter((kind) => kind.readByDuckdb !== false))(
        'reads a table $kind',
        { timeout: 60_000 },
        async (kind) => {
          const { table, schema, digests } = await buildTable(place, await lake(), kind)
          const answer = await reader().read({ uri: located(table.uri) })
          expect(answer, JSON.stringify(answer.error)).toMatchObject({ digest: digests.at(-1) })
          expect(answer.columns?.map(([name]) => name)).toEqual(schema.fields.map((field) => field.name))
        },
      )
    },
    { servers: 1 },
  )
})
