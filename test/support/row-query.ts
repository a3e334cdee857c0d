import type { RowQuery } from '../../src/ops/found-rows.js'
import type { DeltaTable } from '../../src/table/delta-table.js'
import { scanSql } from '../../src/table/scan-sql.js'
import type { Snapshot } from '../../src/table/snapshot.js'
import type { World } from './world.js'

/** Runs `work` with a query for the rows of a version that a condition selects, as statements make it. */
export async function withRows<T>(
  world: World,
  table: DeltaTable,
  snapshot: Snapshot,
  { columns = [], where }: { readonly columns?: readonly string[]; readonly where: string },
  work: (query: RowQuery) => Promise<T>,
): Promise<T> {
  const { files } = await snapshot.files()
  const held = await world.source.open(table.deps.store, files, snapshot, undefined)
  const session = await world.database.session()
  try {
    const { schema, partitionColumns, mapping } = snapshot
    const scan = scanSql({ fields: schema.fields, partitionColumns, mapping, address: true }, held.files)
    return await work({
      snapshot,
      session,
      text: `SELECT ${['"__file"', '"__row"', ...columns].join(', ')} FROM (${scan}) WHERE ${where}`,
      params: undefined,
      condition: 'TRUE',
      files: new Map(files.map((file, at) => [held.files[at]?.localFile ?? '', file])),
    })
  } finally {
    session.close()
    held.release()
  }
}
