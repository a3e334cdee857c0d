import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Spool } from './spool.js'

/**
 * A Parquet file without rows, to be read beside a lone one: under a schema of ours the engine opens no file when it plans, takes a lone
 * one for one row group, and reads it with one thread, but several with all of them.
 */
export function emptyParquet(spool: Spool): string {
  const path = join(spool.folder, 'empty.parquet')
  // Where temporary files are swept now and then, it may be gone.
  if (!existsSync(path)) writeFileSync(path, BYTES)
  return path
}

const MAGIC = Buffer.from('PAR1')
/** In Thrift's compact protocol: version 1; a root with one child, the BOOLEAN `none`, which may be NULL; no rows, no row groups. */
const FOOTER = Buffer.from(
  '1502' + '192c' + '4804726f6f741502' + '00' + '1500250218046e6f6e65' + '00' + '1600' + '190c' + '00',
  'hex',
)
const LENGTH = Buffer.from(Uint32Array.of(FOOTER.length).buffer)
const BYTES = Buffer.concat([MAGIC, FOOTER, LENGTH, MAGIC])
