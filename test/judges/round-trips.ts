// The suites that every engine goes through, on every place that it reaches.
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { openTable, type StructType, type Table } from '../../src/index.js'
import { typeText } from '../../src/protocol/schema.js'
import { digestOfArrow } from '../support/arrow-digest.js'
import type { ReadAnswer } from '../support/peers.js'
import { type Judge, located } from './engines.js'
import { digestAt, onDisk, type Place, sharedLake } from './lakes.js'
import { buildTable, kindsOn, TABLE_KINDS } from './table-kinds.js'

const TIMEOUT = { timeout: 120_000 }

/** The digest of a table's newest rows, each of them twice. */
async function doubledDigest(table: Table): Promise<string> {
  const { batches } = await (await table.snapshot()).scan().toArrow()
  return digestOfArrow([...batches, ...batches])
}

/** That an engine sees the columns of `schema`, in whatever form it tells of them. */
export function expectSchema(answer: ReadAnswer, schema: StructType): void {
  if (answer.schema) expect(answer.schema).toEqual(schema)
  else expect(answer.columns?.map(([name]) => name)).toEqual(schema.fields.map((field) => field.name))
}

/** Spark's own spelling of types. */
export function sparkColumns({ fields }: StructType): (readonly [string, string])[] {
  const spelt = (text: string) =>
    text.replace(
      /\b(byte|short|integer|long)\b/g,
      (name) => ({ byte: 'tinyint', short: 'smallint', integer: 'int', long: 'bigint' })[name] ?? name,
    )
  return fields.map((field) => [field.name, spelt(typeText(field.type))])
}

export interface RoundTripOptions {
  readonly expectSchema?: (answer: ReadAnswer, schema: StructType) => void
}

/** It reads what we write, at the newest version and at older ones; we follow what it appends, and compact it. */
export function readsAndAppendsToOurs(place: Place, judge: () => Promise<Judge>, options: RoundTripOptions = {}): void {
  const lake = sharedLake(place)
  const sees = options.expectSchema ?? expectSchema
  it.each(kindsOn(place))('reads and appends to a table $kind', TIMEOUT, async (kind) => {
    const { table, schema, digests } = await buildTable(place, await lake(), kind)
    const engine = await judge()
    const latest = digests.length - 1
    for (const version of new Set([latest, Math.floor(latest / 2)])) {
      const answer = await engine.read(table.uri, version === latest ? undefined : version)
      expect(answer.error, JSON.stringify(answer.error)).toBeUndefined()
      expect(answer.digest, `version ${version}`).toBe(digests[version])
      expect(await digestAt(table.snapshot({ version }))).toBe(digests[version])
      sees(answer, schema)
    }
    if (kind.appendedByOthers === false) return
    const doubled = await doubledDigest(table)
    await engine.double(table.uri)
    expect(await digestAt(table.snapshot())).toBe(doubled)
    const again = await doubledDigest(table)
    await table.append({ sql: `FROM ${table.name}` })
    await table.optimize()
    expect(await engine.read(table.uri)).toMatchObject({ digest: again })
    expect(await digestAt(table.snapshot({ version: latest }))).toBe(digests[latest])
    if (kind.steps.includes('OPTIMIZE'))
      expect(await engine.operations(table.uri)).toEqual((await table.history()).map((entry) => entry.operation))
  })
}

/** Once a checkpoint is there, nobody needs the commits before it; on disk they can be taken away. */
export function readsOursFromACheckpoint(judge: () => Promise<Judge>): void {
  const lake = sharedLake(onDisk)
  const kinds = TABLE_KINDS.filter(({ properties = {} }) => 'delta.checkpointInterval' in properties)
  it.each(kinds)('reads a table $kind when the commits before its last checkpoint are gone', TIMEOUT, async (kind) => {
    const { table, digests } = await buildTable(onDisk, await lake(), kind)
    const log = join(located(table.uri), '_delta_log')
    const { version } = JSON.parse(readFileSync(join(log, '_last_checkpoint'), 'utf8')) as { version: number }
    for (const name of readdirSync(log))
      if (name.endsWith('.json') && Number.parseInt(name, 10) < version) rmSync(join(log, name))
    expect(await (await judge()).read(table.uri)).toMatchObject({ digest: digests.at(-1) })
    await using anew = await openTable(table.uri, onDisk.options)
    expect(await digestAt(anew.snapshot())).toBe(digests.at(-1))
  })
}

/** A table that an engine makes. */
export interface ForeignTable {
  readonly kind: string
  /** Creates the table at `uri`; several versions, with rows. */
  readonly make: (uri: string) => Promise<void>
  /** Newest first. */
  readonly operations: readonly string[]
}

/** We read what it writes, append and compact; it reads that, appends again, and we follow. */
export function writesForUs(place: Place, judge: () => Promise<Judge>, tables: readonly ForeignTable[]): void {
  const lake = sharedLake(place)
  it.each(tables)(
    'makes a table $kind that deltaic reads, appends to and compacts',
    TIMEOUT,
    async ({ kind, make, operations }) => {
      const engine = await judge()
      const name = `made_${kind.replace(/\W+/g, '_')}`
      const table = (await lake()).table(name)
      const uri = `${place.root}/${name}`
      await make(uri)
      const versions = Array.from(operations, (_, version) => version)
      for (const version of versions) {
        const answer = await engine.read(uri, version)
        expect(await digestAt(table.snapshot({ version })), `version ${version}`).toBe(answer.digest)
      }
      expect((await table.history()).map((entry) => entry.operation)).toEqual(operations)

      const doubled = await doubledDigest(table)
      await table.append({ sql: `FROM ${name}` })
      expect(await engine.read(uri)).toMatchObject({ digest: doubled })
      await table.optimize()
      expect(await engine.read(uri)).toMatchObject({ digest: doubled })

      const again = await doubledDigest(table)
      await engine.double(uri)
      expect(await digestAt(table.snapshot())).toBe(again)
      expect(await digestAt(table.snapshot({ version: operations.length - 1 }))).toBe(
        (await engine.read(uri, operations.length - 1)).digest,
      )
      expect((await engine.operations(uri)).slice(1)).toEqual(['OPTIMIZE', 'WRITE', ...operations])
    },
  )
}
