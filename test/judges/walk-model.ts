// What a random walk does to a table, and what the table then has to hold: rows in memory, and nothing of a table engine.
import type { Random } from '../../src/base/random.js'

export type Value = number | string | null
export type Row = Readonly<Record<string, Value>>

export interface Column {
  readonly name: string
  /** A name that every engine's SQL knows. */
  readonly type: 'BIGINT' | 'INT' | 'STRING'
}

/** A version's columns and rows; `id` tells rows apart. */
export interface Model {
  readonly columns: readonly Column[]
  readonly rows: readonly Row[]
}

export const COLUMNS: readonly Column[] = [
  { name: 'id', type: 'BIGINT' },
  { name: 'v', type: 'INT' },
  { name: 's', type: 'STRING' },
  { name: 'p', type: 'STRING' },
]

/** A condition in the SQL that all engines share, and as they all understand it: NULL is `undefined`. */
export interface Condition {
  readonly sql: string
  readonly test: (row: Row) => boolean | undefined
}

/** One operation: what it asks for, and what is to come of it. */
export type Operation =
  | { readonly kind: 'append' | 'overwrite' | 'overwritePartitions'; readonly rows: readonly Row[]; readonly after: Model }
  | { readonly kind: 'delete'; readonly where: Condition; readonly after: Model }
  | { readonly kind: 'update'; readonly set: Row; readonly where: Condition; readonly after: Model }
  | { readonly kind: 'merge'; readonly rows: readonly Row[]; readonly after: Model }
  | { readonly kind: 'replaceWhere'; readonly where: Condition; readonly rows: readonly Row[]; readonly after: Model }
  | { readonly kind: 'addColumn'; readonly column: Column; readonly after: Model }
  | { readonly kind: 'restore'; readonly version: number; readonly after: Model }
  | { readonly kind: 'optimize' | 'zorder' | 'checkpoint' | 'vacuum'; readonly after: Model }

const WEIGHTS: Readonly<Record<Operation['kind'], number>> = {
  append: 5,
  delete: 4,
  update: 4,
  merge: 4,
  overwrite: 1,
  overwritePartitions: 2,
  replaceWhere: 3,
  optimize: 2,
  zorder: 1,
  addColumn: 1,
  restore: 2,
  vacuum: 1,
  checkpoint: 1,
}

const PARTITIONS = ['a', 'b', 'c d', null]

/** Makes operations at random, the same ones for the same random numbers. */
export class Operations {
  private readonly random: Random
  private readonly isPartitioned: boolean
  private nextId = 0
  private nextColumn = 0

  constructor(random: Random, isPartitioned: boolean) {
    this.random = random
    this.isPartitioned = isPartitioned
  }

  /** @param versions what versions held that can be restored. */
  next(now: Model, versions: ReadonlyMap<number, Model>): Operation {
    const kinds = (Object.keys(WEIGHTS) as Operation['kind'][]).filter(
      (kind) => this.isPartitioned || kind !== 'overwritePartitions',
    )
    const bag = kinds.flatMap((kind) => Array.from({ length: WEIGHTS[kind] }, () => kind))
    const kind = pick(this.random, bag)
    const is = (where: Condition) => (row: Row) => where.test(row) === true
    const isNot = (where: Condition) => (row: Row) => where.test(row) !== true
    const rowsAre = (rows: readonly Row[]) => ({ ...now, rows })
    switch (kind) {
      case 'append': {
        const rows = this.newRows(now)
        return { kind, rows, after: rowsAre([...now.rows, ...rows]) }
      }
      case 'overwrite': {
        const rows = this.newRows(now)
        return { kind, rows, after: rowsAre(rows) }
      }
      case 'overwritePartitions': {
        const rows = this.newRows(now)
        const come = new Set(rows.map((row) => row['p']))
        return { kind, rows, after: rowsAre([...now.rows.filter((row) => !come.has(row['p'])), ...rows]) }
      }
      case 'delete': {
        const where = this.condition()
        return { kind, where, after: rowsAre(now.rows.filter(isNot(where))) }
      }
      case 'update': {
        const where = this.condition()
        const set = this.random.next() < 0.3 ? { s: this.text(), p: pick(this.random, PARTITIONS) } : { v: this.number() }
        return { kind, where, set, after: rowsAre(now.rows.map((row) => (is(where)(row) ? { ...row, ...set } : row))) }
      }
      case 'merge': {
        const fresh = this.newRows(now)
        const old = now.rows.filter(() => this.random.next() < 0.3).slice(0, 8)
        const rows = [...old.map((row) => ({ ...this.newRow(now.columns, Number(row['id'])) })), ...fresh]
        return { kind, rows, after: rowsAre(merged(now.rows, rows)) }
      }
      case 'replaceWhere': {
        const where = this.condition()
        const rows = this.newRows(now, 30).filter(is(where))
        return { kind, where, rows, after: rowsAre([...now.rows.filter(isNot(where)), ...rows]) }
      }
      case 'addColumn': {
        const column: Column = { name: `x${this.nextColumn++}`, type: pick(this.random, ['INT', 'STRING'] as const) }
        const rows = now.rows.map((row) => ({ ...row, [column.name]: null }))
        return { kind, column, after: { columns: [...now.columns, column], rows } }
      }
      case 'restore': {
        const [version, after] = pick(this.random, [...versions])
        return { kind, version, after }
      }
      default:
        return { kind, after: now }
    }
  }

  newRows(now: Pick<Model, 'columns'>, most = 12): readonly Row[] {
    return Array.from({ length: 1 + this.below(most) }, () => this.newRow(now.columns, this.nextId++))
  }

  private newRow(columns: readonly Column[], id: number): Row {
    const value = ({ name, type }: Column): Value => {
      if (name === 'id') return id
      if (name === 'p') return pick(this.random, PARTITIONS)
      return type === 'STRING' ? this.text() : this.number()
    }
    return Object.fromEntries(columns.map((column) => [column.name, value(column)]))
  }

  private condition(depth = 0): Condition {
    if (depth < 2 && this.random.next() < 0.3) {
      const [a, b] = [this.condition(depth + 1), this.condition(depth + 1)]
      const isAnd = this.random.next() < 0.5
      return {
        sql: `(${a.sql} ${isAnd ? 'AND' : 'OR'} ${b.sql})`,
        test: (row) => (isAnd ? and(a.test(row), b.test(row)) : not(and(not(a.test(row)), not(b.test(row))))),
      }
    }
    const k = this.below(Math.max(4, this.nextId))
    const p = pick(this.random, ['a', 'b', 'c d'])
    const v = this.below(20) - 10
    return pick<Condition>(this.random, [
      { sql: `id < ${k}`, test: ({ id }) => Number(id) < k },
      { sql: `id % 3 = 1`, test: ({ id }) => Number(id) % 3 === 1 },
      { sql: `id BETWEEN ${k} AND ${k + 5}`, test: ({ id }) => Number(id) >= k && Number(id) <= k + 5 },
      { sql: `v >= ${v}`, test: (row) => (row['v'] === null ? undefined : Number(row['v']) >= v) },
      { sql: 's IS NULL', test: ({ s }) => s === null },
      { sql: `s <> 's1'`, test: ({ s }) => (s === null ? undefined : s !== 's1') },
      { sql: `p = '${p}'`, test: (row) => (row['p'] === null ? undefined : row['p'] === p) },
      { sql: `(p IS NULL OR p = '${p}')`, test: (row) => row['p'] === null || row['p'] === p },
    ])
  }

  private number(): Value {
    return this.random.next() < 0.2 ? null : this.below(40) - 20
  }

  private text(): Value {
    return pick(this.random, [null, 's1', 's2', `it's`, 'ü "q"', `s${this.below(100)}`])
  }

  private below(n: number): number {
    return Math.floor(this.random.next() * n)
  }
}

/** Rows of the same id become the new ones, or go where `v` is NULL there; others come in. */
function merged(rows: readonly Row[], source: readonly Row[]): readonly Row[] {
  const byId = new Map(source.map((row) => [row['id'], row]))
  const old = new Set(rows.map((row) => row['id']))
  const kept = rows.flatMap((row) => {
    const by = byId.get(row['id'] as Value)
    if (!by) return [row]
    return by['v'] === null ? [] : [{ ...row, v: by['v'] as Value, s: by['s'] as Value, p: by['p'] as Value }]
  })
  return [...kept, ...source.filter((row) => !old.has(row['id'] as Value))]
}

function and(a: boolean | undefined, b: boolean | undefined): boolean | undefined {
  if (a === false || b === false) return false
  return a === undefined || b === undefined ? undefined : true
}

function not(a: boolean | undefined): boolean | undefined {
  return a === undefined ? undefined : !a
}

export function pick<T>(random: Random, values: readonly T[]): T {
  return values[Math.floor(random.next() * values.length)] as T
}

export const inOrder = (rows: readonly Row[]): readonly Row[] => rows.toSorted((a, b) => Number(a['id']) - Number(b['id']))

/** A query of rows in the SQL that all engines share. */
export function rowsSql(columns: readonly Column[], rows: readonly Row[]): string {
  const names = columns.map(({ name }) => name)
  const given = columns.map(({ name, type }) => `CAST(${name} AS ${type}) AS ${name}`).join(', ')
  if (rows.length === 0)
    return `SELECT ${columns.map(({ name, type }) => `CAST(NULL AS ${type}) AS ${name}`).join(', ')} WHERE 1 = 0`
  const values = rows.map((row) => `(${names.map((name) => sqlValue(row[name] ?? null)).join(', ')})`)
  return `SELECT ${given} FROM (VALUES ${values.join(', ')}) AS q(${names.join(', ')})`
}

export function sqlValue(value: Value): string {
  if (value === null) return 'NULL'
  return typeof value === 'number' ? String(value) : `'${value.replaceAll("'", "''")}'`
}

/** An operation as SQL that deltaic and Spark share; `undefined` for what is asked in other ways. */
export function operationSql(table: string, operation: Operation, { columns }: Model): string | undefined {
  switch (operation.kind) {
    case 'append':
      return `INSERT INTO ${table} ${rowsSql(columns, operation.rows)}`
    case 'overwrite':
    case 'overwritePartitions':
      return `INSERT OVERWRITE ${table} ${rowsSql(columns, operation.rows)}`
    case 'replaceWhere':
      return `INSERT INTO ${table} REPLACE WHERE ${operation.where.sql} ${rowsSql(columns, operation.rows)}`
    case 'delete':
      return `DELETE FROM ${table} WHERE ${operation.where.sql}`
    case 'update': {
      const set = Object.entries(operation.set).map(([name, value]) => `${name} = ${sqlValue(value)}`)
      return `UPDATE ${table} SET ${set.join(', ')} WHERE ${operation.where.sql}`
    }
    case 'merge': {
      const names = columns.map(({ name }) => name)
      return `MERGE INTO ${table} AS t USING (${rowsSql(columns, operation.rows)}) AS s ON t.id = s.id
        WHEN MATCHED AND s.v IS NULL THEN DELETE
        WHEN MATCHED THEN UPDATE SET v = s.v, s = s.s, p = s.p
        WHEN NOT MATCHED THEN INSERT (${names.join(', ')}) VALUES (${names.map((name) => `s.${name}`).join(', ')})`
    }
    case 'addColumn':
      return `ALTER TABLE ${table} ADD COLUMNS (${operation.column.name} ${operation.column.type})`
    case 'restore':
      return `RESTORE TABLE ${table} TO VERSION AS OF ${operation.version}`
    case 'optimize':
      return `OPTIMIZE ${table}`
    case 'zorder':
      return `OPTIMIZE ${table} ZORDER BY (v, id)`
    default:
      return undefined
  }
}
