import { createRequire } from 'node:module'

type ParquetModule = typeof import('parquet-wasm/node')

let loaded: ParquetModule | undefined

/**
 * Arrow IPC stream bytes as a Parquet file: uncompressed and without statistics, which is the fastest to write and to read once.
 * Blocks while it works, about 3 ms for 1 MiB.
 *
 * The work is done in WebAssembly, in a module that is loaded when first needed, in tens of milliseconds. Bytes that make it trap
 * leave its memory in an unknown state, so the next call gets a new one.
 *
 * @param hasDictionaries whether a value is stored once however often it occurs: slower, but where the stream does so its rows may
 * otherwise take any amount of memory
 * @throws whatever the module throws
 */
export function parquetOf(ipc: Uint8Array, hasDictionaries: boolean): Uint8Array {
  loaded ??= freshModule()
  const { Compression, EnabledStatistics, Table, WriterPropertiesBuilder, writeParquet } = loaded
  try {
    // The table first: when it traps, no object of the broken module is left for the collector to finalize.
    const table = Table.fromIPCStream(ipc)
    const properties = new WriterPropertiesBuilder()
      .setCompression(Compression.UNCOMPRESSED)
      .setStatisticsEnabled(EnabledStatistics.None)
      .setDictionaryEnabled(hasDictionaries)
      .build()
    return writeParquet(table, properties)
  } catch (error) {
    const isOrdinary = error instanceof Error && error.name === 'Error' // a trap is a RuntimeError, an overflow a RangeError
    if (!isOrdinary) loaded = undefined
    throw error
  }
}

/** The module, in an instance of its own: the loader's cache would hand out the same one again. */
function freshModule(): ParquetModule {
  const require = createRequire(import.meta.url)
  const path = require.resolve('parquet-wasm/node')
  const module = require(path) as ParquetModule
  delete require.cache[path]
  return module
}
