import { globLiteral, ident, literal } from '../engine/sql-text.js'
import { duckdbType } from '../engine/types.js'
import { type ChangesBetween, openRowChanges, type RowChanges, rowChanges } from '../ops/row-changes.js'
import type { StoreOptions } from '../storage/store.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { Snapshot } from '../table/snapshot.js'
import { namedParts, type PinnedPart, type ViewAt } from '../views/exact.js'
import type { RunContext } from './query-runner.js'

/** The columns of a source that views read of the same changes. */
interface Wanted {
  readonly part: PinnedPart
  readonly columns: Set<string> | undefined
  readonly views: number
}

/** Views that are refreshed together follow changes of their sources that are told and read once. */
export class ChangePass {
  private readonly context: RunContext
  private readonly told = new Map<string, Promise<ChangesBetween | undefined>>()
  private readonly paths: string[] = []
  private readonly shared: RowChanges[] = []

  constructor(context: RunContext) {
    this.context = context
  }

  /** As `rowChanges`, and the same object for the same question. */
  readonly changes: typeof rowChanges = (table, end, after, commitOf, options) => {
    const key = JSON.stringify([table.uri, end.metadata.id, after, end.version])
    const found = this.told.get(key) ?? rowChanges(table, end, after, commitOf, options)
    this.told.set(key, found)
    return found
  }

  /** Reads what several of these views read of the same changes, each row once, the union of their columns. */
  async read(views: readonly ViewAt[], options: StoreOptions): Promise<void> {
    const wanted = new Map<RowChanges, Wanted>()
    for (const at of views) {
      const { plus, minus } = at.changes
      if (plus.length + minus.length === 0) continue
      const sql = [...plus, ...minus].map((core) => `(${core})`).join(' UNION ALL ')
      const parts = await namedParts(at, sql)
      if (!parts) continue
      const { tables } = await this.context.engines.planner.plan('SELECT * FROM "__rows"', undefined, async () => ({
        sql,
        parts,
      }))
      for (const { changes, columns } of tables) {
        const part = parts.find((one) => one.changes === changes)
        if (!changes || !part) continue
        const { columns: known = new Set<string>(), views: count = 0 } = wanted.get(changes) ?? {}
        const all = columns === undefined ? undefined : new Set([...known, ...columns])
        wanted.set(changes, {
          part,
          columns: wanted.has(changes) && !wanted.get(changes)?.columns ? undefined : all,
          views: count + 1,
        })
      }
    }
    for (const [changes, { part, columns, views: count }] of wanted)
      if (count > 1) await this.materialize(changes, part, columns, options)
  }

  /** Lets go of what was read. */
  async close(): Promise<void> {
    for (const changes of this.shared) this.context.engines.sharedChanges.delete(changes)
    for (const path of this.paths) await this.context.engines.spool.remove(path)
  }

  private async materialize(
    changes: RowChanges,
    { table, snapshot }: { readonly table: DeltaTable; readonly snapshot: Snapshot },
    columns: ReadonlySet<string> | undefined,
    options: StoreOptions,
  ): Promise<void> {
    const { spool, source, forBytes, sharedChanges } = this.context.engines
    const path = spool.file('parquet')
    this.paths.push(path)
    const { fields } = snapshot.schema
    const isRead = ({ name }: { readonly name: string }) => columns === undefined || columns.has(name.toLowerCase())
    const read = fields.filter(isRead).map(({ name }) => ident(name))
    const held = await openRowChanges(source, table.deps.store, snapshot, changes.files, columns, options)
    try {
      // A file has a column at least: that there are rows counts too.
      const rows = `SELECT ${[...read, 'true AS "__there"'].join(', ')} FROM (${held.sql})`
      const to = `${literal(path)} (FORMAT parquet, COMPRESSION snappy)`
      await forBytes(changes.bytes).use((connection) => connection.run(`COPY (${rows}) TO ${to}`, options))
    } finally {
      held.release()
    }
    const given = fields.map((field) =>
      isRead(field) ? ident(field.name) : `NULL::${duckdbType(field.type)} AS ${ident(field.name)}`,
    )
    const sql = `SELECT ${given.join(', ')} FROM read_parquet(${globLiteral(path)})`
    const has = (asked: ReadonlySet<string> | undefined) =>
      columns === undefined || (asked && [...asked].every((one) => columns.has(one)))
    sharedChanges.set(changes, { select: (asked) => (has(asked) ? sql : undefined) })
    this.shared.push(changes)
  }
}
