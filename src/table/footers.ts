import { LRUCache } from 'lru-cache'
import type { Database } from '../engine/database.js'
import { footerEntries, type ParquetField, parquetFields } from '../engine/parquet-shape.js'
import { type MappingMode, physicalSchema } from '../protocol/column-mapping.js'
import { isStruct, leaves, mentions, type StructField } from '../protocol/schema.js'
import type { StoreOptions } from '../storage/store.js'
import { type StoredColumns, storedColumns } from './stored-columns.js'

/** What a file asks of those who read it beyond what the log tells. */
export interface FooterFacts {
  readonly stored?: StoredColumns | undefined
  readonly calendar?: OldCalendar | undefined
}

/** Which values of a file name days of the Julian calendar before 15 October 1582. */
export interface OldCalendar {
  readonly dates: boolean
  readonly instants: boolean
  /** In which the names of instants are to be kept. */
  readonly zone: string | undefined
}

/** A file of this machine, and the log's statistics of it. */
export interface FooterFile {
  readonly localFile: string
  readonly sizeBytes: number
  readonly stats?: string | undefined
}

const FILES_MAX = 50_000
/** From here on all calendars, and all clocks, tell the same. */
const MODERN = '1900'

/**
 * What footers of data files tell, read once for each file, and only where a table's columns leave it open: under column
 * mapping whether a file has a struct's members at all, of bytes whether they are marked as text, and of dates that may be old which calendar they are in.
 */
export class Footers {
  private readonly database: Database
  private readonly fields = new LRUCache<string, readonly ParquetField[]>({ max: FILES_MAX })
  private readonly calendars = new LRUCache<string, { readonly calendar: OldCalendar | undefined }>({ max: FILES_MAX })

  constructor(database: Database) {
    this.database = database
  }

  /** In the order of the files. @param columns what will be read of them. */
  async facts(
    files: readonly FooterFile[],
    columns: readonly StructField[],
    mode: MappingMode,
    options: StoreOptions = {},
  ): Promise<readonly FooterFacts[]> {
    const isOpen = mode === 'id' || columns.some(({ type }) => mentions(type, 'binary') || (mode === 'name' && holdsStruct(type)))
    const fields = isOpen ? await this.fieldsOf(files, options) : []
    const calendars = await this.calendarsOf(files, columns, mode, options)
    return files.map((_, at) => {
      const stored = fields[at] && storedColumns(columns, mode, fields[at])
      return { stored, calendar: calendars[at] }
    })
  }

  private async fieldsOf(files: readonly FooterFile[], options: StoreOptions): Promise<readonly (readonly ParquetField[])[]> {
    const unknown = [...new Set(files.filter((file) => !this.fields.has(keyOf(file))))]
    const read = await parquetFields(
      this.database,
      unknown.map(({ localFile }) => localFile),
      options,
    )
    const fresh = new Map(unknown.map((file, at) => [keyOf(file), read[at] ?? []]))
    for (const [key, value] of fresh) this.fields.set(key, value)
    return files.map((file) => fresh.get(keyOf(file)) ?? this.fields.get(keyOf(file)) ?? [])
  }

  private async calendarsOf(
    files: readonly FooterFile[],
    columns: readonly StructField[],
    mode: MappingMode,
    options: StoreOptions,
  ): Promise<readonly (OldCalendar | undefined)[]> {
    const dated = columns.filter(({ type }) => mentions(type, 'date') || mentions(type, 'timestamp'))
    if (dated.length === 0) return []
    const paths = leaves(physicalSchema({ type: 'struct', fields: dated }, mode).fields).filter(
      ({ type }) => mentions(type, 'date') || mentions(type, 'timestamp'),
    )
    const unknown = files.filter((file) => !this.calendars.has(keyOf(file)) && !isModern(file.stats, paths))
    const fresh = new Map<string, OldCalendar | undefined>()
    if (unknown.length > 0) {
      const names = unknown.map(({ localFile }) => localFile)
      const entries = await footerEntries(this.database, names, ENTRIES, options)
      const told = unknown.filter(({ localFile }) => entries.get(localFile) && mayBeOld(entries.get(localFile)))
      const fields = await this.fieldsOf(told, options)
      for (const file of unknown) {
        const at = told.indexOf(file)
        const calendar = at < 0 ? undefined : calendarOf(entries.get(file.localFile) ?? new Map(), fields[at] ?? [])
        fresh.set(keyOf(file), calendar)
        this.calendars.set(keyOf(file), { calendar })
      }
    }
    return files.map((file) => (fresh.has(keyOf(file)) ? fresh.get(keyOf(file)) : this.calendars.get(keyOf(file))?.calendar))
  }
}

const VERSION = 'org.apache.spark.version'
const ZONE = 'org.apache.spark.timeZone'
const LEGACY = 'org.apache.spark.legacyDateTime'
const LEGACY_INT96 = 'org.apache.spark.legacyINT96'
const ENTRIES = [VERSION, ZONE, LEGACY, LEGACY_INT96]

function mayBeOld(entries: ReadonlyMap<string, string> | undefined): boolean {
  return entries !== undefined && (entries.has(LEGACY) || entries.has(LEGACY_INT96) || isBefore(entries.get(VERSION), 3, 1))
}

/** As Spark decides it. @see https://github.com/apache/spark DataSourceUtils.datetimeRebaseSpec, int96RebaseSpec */
function calendarOf(entries: ReadonlyMap<string, string>, fields: readonly ParquetField[]): OldCalendar | undefined {
  const version = entries.get(VERSION)
  const dates = entries.has(LEGACY) || isBefore(version, 3, 0)
  const instants = fields.some(hasInt96) ? entries.has(LEGACY_INT96) || isBefore(version, 3, 1) : dates
  return dates || instants ? { dates, instants, zone: entries.get(ZONE) } : undefined
}

function isBefore(version: string | undefined, major: number, minor: number): boolean {
  const [, first, second] = /^(\d+)\.(\d+)/.exec(version ?? '') ?? []
  return first !== undefined && (Number(first) < major || (Number(first) === major && Number(second) < minor))
}

function hasInt96({ isInt96, children }: ParquetField): boolean {
  return isInt96 === true || children.some(hasInt96)
}

/** Whether statistics prove that no value is old. */
function isModern(stats: string | undefined, paths: readonly { readonly path: readonly string[] }[]): boolean {
  const { numRecords, minValues, nullCount } = parsed(stats)
  return paths.every(({ path }) => {
    const least = at(minValues, path)
    if (typeof least === 'string') return /^\d{4}-/.test(least) && least >= MODERN
    return numRecords !== undefined && at(nullCount, path) === numRecords
  })
}

interface LooseStats {
  readonly numRecords?: number
  readonly minValues?: unknown
  readonly nullCount?: unknown
}

/** Statistics that nobody can read prove nothing. */
function parsed(stats: string | undefined): LooseStats {
  try {
    return (JSON.parse(stats ?? '{}') ?? {}) as LooseStats
  } catch {
    return {}
  }
}

function at(tree: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((found, name) => (found as Record<string, unknown> | null | undefined)?.[name], tree)
}

function holdsStruct(type: StructField['type']): boolean {
  if (typeof type === 'string') return false
  if (isStruct(type)) return true
  return type.type === 'array' ? holdsStruct(type.elementType) : holdsStruct(type.keyType) || holdsStruct(type.valueType)
}

function keyOf({ localFile, sizeBytes }: FooterFile): string {
  return `${sizeBytes} ${localFile}`
}
