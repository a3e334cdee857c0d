import { Database } from '../../src/engine/database.js'
import { ident } from '../../src/engine/sql-text.js'
import { duckdbType } from '../../src/engine/types.js'
import { type Lakehouse, openLakehouse } from '../../src/index.js'
import { parseType } from '../../src/protocol/type-text.js'

export interface ReferenceTable {
  readonly name: string
  readonly columns: readonly (readonly [name: string, type: string])[]
  readonly partitionBy?: readonly string[]
  /** Rows as SQL literals, one list of rows for each commit. */
  readonly commits: readonly (readonly (readonly string[])[])[]
}

/** The same rows twice: as tables of a lakehouse, and in an engine that knows of no files. */
export class Reference {
  readonly lake: Lakehouse
  filesRead = 0
  filesSkipped = 0
  private readonly engine: Database

  private constructor(lake: Lakehouse, engine: Database) {
    this.lake = lake
    this.engine = engine
  }

  static async open(root: string): Promise<Reference> {
    const engine = await Database.open()
    // With it DuckDB filters the rows below a LIMIT, so that an answer differs from run to run.
    await engine.rows("SET GLOBAL disabled_optimizers = 'join_filter_pushdown'")
    return new Reference(await openLakehouse(root), engine)
  }

  async fill({ name, columns, partitionBy = [], commits }: ReferenceTable): Promise<void> {
    const definitions = columns.map(([column, type]) => `${ident(column)} ${type}`)
    const partitions = partitionBy.length > 0 ? ` PARTITIONED BY (${partitionBy.map(ident).join(', ')})` : ''
    await this.lake.sql(`CREATE TABLE ${name} (${definitions.join(', ')})${partitions}`)
    const types = columns.map(([, type]) => duckdbType(parseType(type)))
    await this.engine.rows(
      `CREATE TABLE ${name} (${columns.map(([column], index) => `${ident(column)} ${types[index]}`).join(', ')})`,
    )
    for (const rows of commits) {
      const values = rows.map((row) => `SELECT ${row.map((value, index) => `${value}::${types[index]}`).join(', ')}`)
      await this.lake.sql(`INSERT INTO ${name} ${values.join(' UNION ALL ')}`)
      await this.engine.rows(`INSERT INTO ${name} ${values.join(' UNION ALL ')}`)
    }
  }

  /** Runs a statement in the engine alone. */
  async reference(statement: string): Promise<void> {
    await this.engine.rows(statement)
  }

  /** The answers of both, as text and sorted; a query that one of them refuses answers with its refusal. */
  async both(
    query: string,
    params: readonly (string | number)[] = [],
  ): Promise<{ readonly lake: string[]; readonly engine: string[] }> {
    const asText = (rows: readonly Record<string, unknown>[]) =>
      rows.map((row) => JSON.stringify(Object.values(row), digits)).sort()
    const refused = (): string[] => ['refused']
    const ours = async () => {
      const result = await this.lake.sql(query, { params })
      this.filesRead += result.stats.filesRead
      this.filesSkipped += result.stats.filesSkipped
      return asText(await result.rows())
    }
    const engine = await this.engine.rows(query, { params }).then(asText, refused)
    // Files without the value that fails a cast are not read, so the lake may answer where the engine refuses.
    const lake = await (engine[0] === 'refused' ? Promise.resolve(refused()) : ours())
    return { lake, engine }
  }

  async close(): Promise<void> {
    await this.lake.close()
    this.engine.close()
  }
}

function digits(_: string, value: unknown): unknown {
  if (typeof value === 'bigint') return String(value)
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value
}
