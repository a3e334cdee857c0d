import { Field, Int64, makeData, RecordBatch, Schema, Struct, Table, tableToIPC } from 'apache-arrow'
import { parquetOf } from './arrow-parquet.js'

/** Row positions as a Parquet file with one BIGINT column, `row`, in the order given. Blocks, about 25 ms for a million. */
export function rowsParquet(rows: BigInt64Array): Uint8Array {
  const type = new Struct<{ row: Int64 }>([new Field('row', new Int64(), false)])
  const child = makeData({ type: new Int64(), length: rows.length, nullCount: 0, data: rows })
  const data = makeData({ type, length: rows.length, nullCount: 0, children: [child] })
  const batch = new RecordBatch(new Schema(type.children), data)
  return parquetOf(tableToIPC(new Table(batch), 'stream'), false)
}
