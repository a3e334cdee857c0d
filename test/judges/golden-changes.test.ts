// Change feeds of tables that other engines wrote, found on disk: as Spark reads them where it was asked, and everywhere
// what leads from the rows of one version to those of the next.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { ident, literal } from '../../src/engine/sql-text.js'
import { isDeltaError, type Lakehouse, openLakehouse } from '../../src/index.js'
import { digestOfArrow } from '../support/arrow-digest.js'
import { describeWhen } from '../support/needs.js'
import { sharedFolder } from '../support/peers.js'

const root = join(sharedFolder, 'tables')
const temp = mkdtempSync(join(tmpdir(), 'deltaic-changes-'))
let lake: Promise<Lakehouse> | undefined
const opened = () => {
  lake ??= openLakehouse(join(temp, 'lake'), { threads: 2, memoryLimitBytes: 2 ** 29 })
  return lake
}
const counts = { equal: 0, steps: 0 }
afterAll(async () => {
  await (await lake)?.close()
  rmSync(temp, { recursive: true, force: true })
  console.info(`change feeds of other engines: ${counts.equal} equal Spark's, ${counts.steps} lead from a version to the next`)
})

function tablesUnder(folder: string): string[] {
  if (!existsSync(folder)) return []
  if (existsSync(join(folder, '_delta_log'))) return [folder]
  const below = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory())
  return below.flatMap((entry) => tablesUnder(join(folder, entry.name)))
}

interface ToldFeed {
  readonly startVersion: number
  readonly endVersion: number
  readonly rows: number
  readonly digestWithoutCommitTimestamp: string
}

function toldFeed(table: string): ToldFeed | undefined {
  const file = join(dirname(table), 'case.json')
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as { cdf?: ToldFeed }).cdf : undefined
}

const enabled = (table: string) =>
  readdirSync(join(table, '_delta_log')).some(
    (name) =>
      name.endsWith('.json') && /enableChangeDataFeed[\\": ]+true/i.test(readFileSync(join(table, '_delta_log', name), 'utf8')),
  )

const tables = tablesUnder(root).filter(enabled)

async function digest(sql: string): Promise<string> {
  return digestOfArrow(await (await (await opened()).sql(sql)).toArrow())
}

describeWhen(existsSync(root), `there is no ${root}`, 'change feeds of tables that other engines wrote', () => {
  it.each(tables.flatMap((table) => (toldFeed(table) ? [[relative(root, table), table]] : [])))(
    "%s: are Spark's, row for row",
    async (_, table) => {
      const { startVersion, endVersion, rows, digestWithoutCommitTimestamp } = toldFeed(table) as ToldFeed
      const changes = `table_changes_by_path(${literal(table)}, ${startVersion}, ${endVersion})`
      const found = await (await (await opened()).sql(`SELECT * EXCLUDE (_commit_timestamp) FROM ${changes}`)).toArrow()
      expect(found.numRows).toBe(rows)
      expect(digestOfArrow(found)).toBe(digestWithoutCommitTimestamp)
      counts.equal++
    },
  )

  it.each(tables.map((table) => [relative(root, table), table]))(
    '%s: lead from the rows of one version to those of the next',
    async (_, table) => {
      for (let version = 1; version <= latestOf(table); version++)
        try {
          const [columns, before, after] = [
            await commonColumns(table, version),
            rowsAt(table, version - 1),
            rowsAt(table, version),
          ]
          const select = (source: string) => `SELECT ${columns} FROM ${source}`
          const changes = (...types: string[]) =>
            `table_changes_by_path(${literal(table)}, ${version}, ${version}) WHERE _change_type IN (${types.map(literal).join(', ')})`
          const forwards = await digest(`${select(before)} UNION ALL ${select(changes('insert', 'update_postimage'))}`)
          const backwards = await digest(`${select(after)} UNION ALL ${select(changes('delete', 'update_preimage'))}`)
          if (changesFiles(table, version)) expect(forwards, `version ${version}`).toBe(backwards)
          counts.steps++
        } catch (error) {
          if (!isDeltaError(error) || !UNREADABLE.includes(error.code)) throw error
        }
    },
    60_000,
  )
})

/** What a version may be refused for, and the damage that some tables have on purpose. */
const UNREADABLE = ['CHANGES_NOT_RECORDED', 'VERSION_NOT_FOUND', 'DATA_FILE_MISSING', 'DELETION_VECTOR_DAMAGED']

const rowsAt = (table: string, version: number) => `delta.${ident(table)} VERSION AS OF ${version}`

async function commonColumns(table: string, version: number): Promise<string> {
  const [before, after] = await Promise.all(
    [version - 1, version].map(async (at) => (await (await opened()).sql(`SELECT * FROM ${rowsAt(table, at)} LIMIT 0`)).columns),
  )
  return (after ?? []).flatMap(({ name }) => (before?.some((one) => one.name === name) ? [ident(name)] : [])).join(', ')
}

function commitOf(table: string, version: number): string | undefined {
  const file = join(table, '_delta_log', `${String(version).padStart(20, '0')}.json`)
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined
}

function latestOf(table: string): number {
  const versions = readdirSync(join(table, '_delta_log')).flatMap((name) => /^(\d{20})\.json$/.exec(name)?.[1] ?? [])
  return Math.max(...versions.map(Number))
}

/** Commits made by hand may tell of changes to no file. */
const changesFiles = (table: string, version: number) =>
  !/"cdc"/.test(commitOf(table, version) ?? '') || /"(add|remove)"/.test(commitOf(table, version) ?? '')
