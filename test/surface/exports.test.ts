import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import * as deltaic from '../../src/index.js'

interface Manifest {
  readonly version: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly engines?: { readonly node?: string }
}

const root = new URL('../..', import.meta.url).pathname
const manifest = async (folder: string) => JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as Manifest
const own = await manifest(root)

describe('the package', () => {
  it('exports these values, and no others', () => {
    expect(Object.keys(deltaic).sort()).toMatchInlineSnapshot(`
      [
        "COMPRESSIONS",
        "DELTAIC_VERSION",
        "DeltaError",
        "IDEMPOTENCY_KEY_PREFIX",
        "INPUT_FORMATS",
        "KIND_OF",
        "StreamRunner",
        "checkStore",
        "createProducer",
        "isDeltaError",
        "openLakehouse",
        "openTable",
        "parseSize",
        "processStorageUse",
        "seededRandom",
        "systemClock",
        "systemRandom",
      ]
    `)
  })

  it('exports these types, and no others', async () => {
    const index = await readFile(join(root, 'src/index.ts'), 'utf8')
    const names = [...index.matchAll(/export (type )?\{([^}]*)\}/g)].flatMap(([, all, list]) =>
      (list ?? '')
        .split(',')
        .flatMap((name) => (all || name.trim().startsWith('type ') ? [name.trim().replace(/^type /, '')] : [])),
    )
    expect(names.filter(Boolean).sort()).toMatchInlineSnapshot(`
      [
        "Ack",
        "AddFile",
        "AutoMaintenance",
        "CacheUse",
        "ChangedSince",
        "ChangesOptions",
        "CheckStoreOptions",
        "Clock",
        "Compression",
        "Conflict",
        "CreateViewOptions",
        "DataType",
        "DefineStreamOptions",
        "DeltaicEvent",
        "ErrorCode",
        "ErrorDetails",
        "ErrorKind",
        "EventSink",
        "FollowOptions",
        "FollowResult",
        "HistoryEntry",
        "IndexedRow",
        "IngestOptions",
        "IngestResult",
        "InputFormat",
        "Lakehouse",
        "LakehouseStats",
        "LookupKey",
        "LookupOptions",
        "MadeView",
        "Operation",
        "PartitionStatus",
        "ProbeReport",
        "ProbeRound",
        "Producer",
        "ProducerOptions",
        "QueryResult",
        "Random",
        "RefreshOptions",
        "RefreshResult",
        "RefreshedView",
        "RemoveFile",
        "RunningStream",
        "Scan",
        "ScanOptions",
        "SnapshotFile",
        "SourceLag",
        "StoreUse",
        "StreamDefinition",
        "StreamInfo",
        "StreamLogin",
        "StreamOptions",
        "StreamPartition",
        "StreamSettings",
        "StreamStatus",
        "StructField",
        "StructType",
        "Table",
        "TableSnapshot",
        "Transaction",
        "TransactionOutcome",
        "UndoOptions",
        "UndoProof",
        "UndoResult",
        "UndoSummary",
        "UndoneFile",
        "VersionRange",
        "ViewChange",
        "ViewDetail",
        "ViewHandle",
        "ViewProof",
        "ViewSummary",
        "WatchOptions",
      ]
    `)
    expect([...index.matchAll(/export (?:type )?\* from '([^']*)'/g)].map(([, from]) => from)).toEqual([
      './lakehouse/maintenance-options.js',
      './lakehouse/options.js',
    ])
  })

  it('knows its own version', () => {
    expect(deltaic.DELTAIC_VERSION).toBe(own.version)
  })

  it.each(Object.keys(own.dependencies ?? {}))('runs on Node 20.19, and so does %s', async (name) => {
    const folder = join(root, 'node_modules', name)
    const { engines } = await manifest(folder)
    expect(accepts(engines?.node ?? '*', [20, 19, 0]), `${name} asks for ${engines?.node}`).toBe(true)
  })
})

/** Ranges as packages write them: `>=18`, `^20.19.0 || >=22`, `20 || 22`. */
function accepts(range: string, version: readonly number[]): boolean {
  return range.split('||').some((part) =>
    part
      .trim()
      .split(/(?<=\d|\*)\s+/)
      .every((term) => {
        const [, operator = '', text = ''] = /^(>=|<=|>|<|\^|~|=)?\s*v?(.*)$/.exec(term.trim()) ?? []
        if (text === '' || text === '*') return true
        const wanted = text.split('.').map(Number)
        const order = wanted.reduce((found, number, index) => found || (version[index] ?? 0) - number, 0)
        if (operator === '>=') return order >= 0
        if (operator === '<=') return order <= 0
        if (operator === '>') return order > 0
        if (operator === '<') return order < 0
        return version[0] === wanted[0] && (operator === '' ? (wanted[1] ?? version[1]) === version[1] : order >= 0)
      }),
  )
}
