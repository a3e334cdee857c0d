// Tables that other engines wrote, found on disk: each reads as others say of it and takes our rows, or is refused for a
// reason that its own log bears out.
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import type { RecordBatch } from 'apache-arrow'
import { afterAll, expect, it } from 'vitest'
import { recordBatches } from '../../src/engine/arrow-out.js'
import { Database } from '../../src/engine/database.js'
import { ident, literalList } from '../../src/engine/sql-text.js'
import { type DeltaError, isDeltaError, openTable, type Table, type TableSnapshot } from '../../src/index.js'
import { digestOfArrow } from '../support/arrow-digest.js'
import { describeWhen } from '../support/needs.js'
import { type PeerReader, peers, sharedFolder, startReader } from '../support/peers.js'

const root = join(sharedFolder, 'tables')
const temp = mkdtempSync(join(tmpdir(), 'deltaic-golden-'))
const options = { tempFolder: join(temp, 'spool'), threads: 2, memoryLimitBytes: 2 ** 29 }

let judge: PeerReader | undefined
const outcomes: string[] = []
afterAll(async () => {
  await judge?.close()
  rmSync(temp, { recursive: true, force: true })
  const counts = [...new Set(outcomes)].sort().map((outcome) => `  ${outcomes.filter((o) => o === outcome).length} ${outcome}`)
  if (counts.length > 0) console.info(`tables of other engines:\n${counts.join('\n')}`)
})

/** What others say of a table. Of some nobody says anything: those have to answer, and to answer in a typed way. */
interface Evidence {
  readonly version?: number
  readonly liveFiles?: number
  readonly rows?: number
  /** By version. */
  readonly digests: readonly (readonly [version: number, digest: string])[]
  /** Parquet files with the rows of a version, the newest one where it says `undefined`. */
  readonly expected: readonly (readonly [version: number | undefined, files: readonly string[]])[]
  readonly protocol?: object
}

interface InventoryEntry {
  readonly table: string
  /** Absent for 0. */
  readonly version?: number
  readonly files: number
  readonly rows: number
  readonly missingFiles?: number
  /** Absent when the log could not be replayed. */
  readonly protocol?: object
}

const inventory = existsSync(root) ? readJson<InventoryEntry[]>(join(root, 'inventory.json')) : []
const tables = tablesUnder(root).map((path) => ({ name: relative(root, path), path, evidence: evidenceOf(path) }))

function tablesUnder(folder: string): string[] {
  if (!existsSync(folder)) return []
  if (existsSync(join(folder, '_delta_log'))) return [folder]
  const below = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory())
  return below.flatMap((entry) => tablesUnder(join(folder, entry.name)))
}

function evidenceOf(table: string): Evidence {
  const beside = table.endsWith('/delta') ? dirname(table) : undefined
  const folder = beside && existsSync(join(beside, 'expected')) ? join(beside, 'expected') : undefined
  const rowFiles = folder ? readdirSync(folder).filter((name) => name.endsWith('.parquet')) : []
  if (beside && existsSync(join(beside, 'case.json'))) {
    const told = readJson<{ latestVersion: number; rows: Record<string, number>; digests: object; protocol: object }>(
      join(beside, 'case.json'),
    )
    const versions = rowFiles.flatMap((name) => (/^v\d+\.parquet$/.test(name) ? [name] : []))
    return {
      version: told.latestVersion,
      rows: told.rows[told.latestVersion] ?? 0,
      digests: Object.entries(told.digests).map(([version, digest]) => [Number(version), digest]),
      expected: versions.map((name) => [Number.parseInt(name.slice(1), 10), [join(folder ?? '', name)]]),
      protocol: told.protocol,
    }
  }
  const entry = inventory.find((listed) => listed.table === relative(root, table))
  const { version = 0, files, rows, missingFiles, protocol } = entry ?? {}
  return {
    ...(protocol && files !== undefined ? { version, protocol, liveFiles: files } : {}),
    ...(protocol && rows !== undefined && !missingFiles ? { rows } : {}),
    digests: [],
    expected: rowFiles.length > 0 ? [[undefined, rowFiles.map((name) => join(folder ?? '', name))]] : [],
  }
}

function readJson<T>(file: string): T {
  return JSON.parse(readFileSync(file, 'utf8')) as T
}

function logLines(table: string): string[] {
  const folder = join(table, '_delta_log')
  const commits = readdirSync(folder).filter((name) => name.endsWith('.json'))
  return commits.flatMap((name) => readFileSync(join(folder, name), 'utf8').split('\n'))
}

/** What the use of a feature leaves in a log whose protocol need not list it by name. */
const TRACES: Readonly<Record<string, RegExp>> = {
  changeDataFeed: /enableChangeDataFeed|"cdc":/,
  generatedColumns: /delta\.generationExpression/,
  identityColumns: /delta\.identity\./,
}

const featuresOf = (error: DeltaError) => String(error.details['features']).split(', ')

const trace = (feature: string) =>
  TRACES[feature] ?? new RegExp(feature.replace(/^(reader|writer) version /, 'min$1Version":'), 'i')

/** That a refusal is true of the table. Rethrows what is no refusal. */
function expectBorneOut(error: unknown, path: string, evidence: Evidence): asserts error is DeltaError {
  if (!isDeltaError(error)) throw error
  const lines = logLines(path)
  const file = join(path, String(error.details['file']))
  switch (error.code) {
    case 'FEATURE_UNSUPPORTED': {
      const expression = error.details['expression']
      if (typeof expression === 'string')
        return expect(lines.some((line) => line.includes('delta.generationExpression'))).toBe(true)
      const told = [...lines, JSON.stringify(evidence.protocol ?? {})].join('\n')
      return expect(featuresOf(error).filter((feature) => !trace(feature).test(told))).toEqual([])
    }
    case 'TYPE_UNSUPPORTED':
      // Variants are written as columns, and not within others.
      return expect(
        lines.some((line) => /\{\\"type\\":\\"(?:struct|array|map)\\".*(?:type|Type)\\":\\"variant\\"/.test(line)),
      ).toBe(true)
    case 'SCHEMA_MISMATCH':
      // Rows of a table that numbers them itself do not go in a second time.
      return expect(
        lines.some((line) => line.includes('delta.identity.') && line.includes(String(error.details['column']))),
      ).toBe(true)
    case 'LOG_GAP':
      return expect(existsSync(file), `${file} is missing`).toBe(false)
    case 'LOG_LINE_MALFORMED': {
      const line = readFileSync(file, 'utf8').split('\n')[Number(error.details['line']) - 1] ?? ''
      return expect(() => JSON.parse(line) as unknown, line).toThrow()
    }
    case 'LOG_INCOMPLETE':
      return expect(['"protocol"', '"schemaString"'].every((part) => lines.some((line) => line.includes(part)))).toBe(false)
    default:
      throw error
  }
}

async function refusalOf<T>(work: Promise<T>, path: string, evidence: Evidence): Promise<T | DeltaError> {
  try {
    return await work
  } catch (error) {
    expectBorneOut(error, path, evidence)
    return error
  }
}

const refusal = (error: DeltaError) => [error.code, error.details['features']].filter(Boolean).join(' ')

async function scan(snapshot: TableSnapshot, columns?: readonly string[]): Promise<RecordBatch[]> {
  return (await snapshot.scan({ columns }).toArrow()).batches
}

const count = (batches: readonly RecordBatch[]) => batches.reduce((sum, batch) => sum + batch.numRows, 0)

async function digestOfParquet(
  files: readonly string[],
  columns: readonly string[],
  variants: readonly string[],
): Promise<string> {
  const database = await Database.open({ threads: 1 })
  try {
    return await database.use(async (connection) => {
      const query = `SELECT ${columns.map((name) => (variants.includes(name) ? `nullif(${ident(name)}::JSON, 'null') AS ${ident(name)}` : ident(name))).join(', ')} FROM read_parquet(${literalList(files)})`
      const batches: RecordBatch[] = []
      for await (const batch of recordBatches(await connection.stream(query))) batches.push(batch)
      return digestOfArrow(batches)
    })
  } finally {
    database.close()
  }
}

/**
 * Columns whose values do not depend on who reads them. The expected rows were read by a Spark that takes a partition's
 * time without a zone to be local to its own.
 */
async function sameForAll(snapshot: TableSnapshot): Promise<string[]> {
  const files = await snapshot.files()
  const zoneless = (name: string) => files.some(({ partitionValues }) => /^\d.*\d$/.test(partitionValues[name] ?? ''))
  const differing = snapshot.schema.fields.filter(
    ({ name, type }) => type === 'timestamp' && snapshot.partitionColumns.includes(name) && zoneless(name),
  )
  return snapshot.schema.fields.filter((field) => !differing.includes(field)).map((field) => field.name)
}

/** Some engines' counts of live files compare paths as they are spelt, so absolute ones count twice. */
const namesFilesAbsolutely = (path: string) => logLines(path).some((line) => /"path":"(\/|file:)/.test(line))

async function expectRows(table: Table, latest: TableSnapshot, evidence: Evidence): Promise<void> {
  const columns = await sameForAll(latest)
  // A digest of variants is one of the parts that a writer shreds them into; their rows are in the expected files.
  const variants = latest.schema.fields.filter((f) => f.type === 'variant').map((f) => f.name)
  const all = columns.length === latest.schema.fields.length && variants.length === 0
  const batches = await scan(latest)
  if (evidence.rows !== undefined) expect(count(batches)).toBe(evidence.rows)
  for (const [version, digest] of all ? evidence.digests : [])
    expect(digestOfArrow(await scan(await table.snapshot({ version }))), `version ${version}`).toBe(digest)
  for (const [version, files] of all && evidence.digests.length > 0 ? [] : evidence.expected) {
    const rows = await scan(version === undefined ? latest : await table.snapshot({ version }), columns)
    expect(digestOfArrow(rows), `version ${version ?? latest.version}`).toBe(await digestOfParquet(files, columns, variants))
  }
}

const ROWS_MAX = 5_000

/** `undefined` for a table whose data files are absent, or that is too large to copy for this. */
async function rowsToDouble(snapshot: TableSnapshot): Promise<RecordBatch[] | undefined> {
  try {
    const rows = await scan(snapshot)
    return count(rows) > ROWS_MAX ? undefined : rows
  } catch (error) {
    if (isDeltaError(error) && error.code === 'DATA_FILE_MISSING') return undefined
    throw error
  }
}

describeWhen(tables.length > 0, 'DELTAIC_SHARED holds no tables', 'a table of another engine', () => {
  it.each(tables)('reads as others say of it, or is refused for a reason that holds: $name', async ({ path, evidence }) => {
    await using table = await openTable(path, options)
    const latest = await refusalOf(table.snapshot(), path, evidence)
    if (isDeltaError(latest)) return void outcomes.push(`not read: ${refusal(latest)}`)
    if (evidence.version !== undefined) expect(latest.version).toBe(evidence.version)
    if (evidence.liveFiles !== undefined && !namesFilesAbsolutely(path))
      expect((await latest.files()).length).toBe(evidence.liveFiles)
    try {
      await expectRows(table, latest, evidence)
      outcomes.push('read')
    } catch (error) {
      // A log without its data files still replays.
      if (!isDeltaError(error) || error.code !== 'DATA_FILE_MISSING') throw error
      if (evidence.rows !== undefined) expect(existsSync(String(error.details['file']).replace(/^file:\/\//, ''))).toBe(false)
      outcomes.push('read as far as its log goes: its data files are absent')
    }
  })

  describeWhen(peers.available('deltalake'), peers.reason('deltalake'), 'as a copy, judged by deltalake', () => {
    it.each(tables)(
      'takes its rows once more and is compacted, or keeps its log as it was: $name',
      async ({ name, path, evidence }) => {
        const copy = join(temp, 'copies', name)
        cpSync(path, copy, { recursive: true })
        const log = readdirSync(join(copy, '_delta_log'))
        await using table = await openTable(copy, options)
        const before = await refusalOf(table.snapshot(), copy, evidence)
        const rows = isDeltaError(before) ? [] : await rowsToDouble(before)
        if (rows === undefined) return void outcomes.push('not written: no data files, or too many rows')
        const appended = await refusalOf(table.append({ sql: `FROM delta.\`${copy}\`` }), copy, evidence)
        if (isDeltaError(appended)) {
          expect(readdirSync(join(copy, '_delta_log'))).toEqual(log)
          return void outcomes.push(`not written: ${refusal(appended)}`)
        }
        await table.optimize()
        const digest = digestOfArrow([...rows, ...rows])
        expect(digestOfArrow(await scan(await table.snapshot()))).toBe(digest)
        judge ??= startReader('deltalake')
        const told = await judge.read({ uri: copy })
        if (told.digest === digest) return void outcomes.push('written')
        // It is no judge of a table whose original it reads otherwise, or not at all.
        expect((await judge.read({ uri: path })).digest, JSON.stringify(told)).not.toBe(digestOfArrow(rows))
        outcomes.push('written, but deltalake reads the original otherwise')
      },
    )
  })
})
