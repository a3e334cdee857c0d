import { posix } from 'node:path'
import type { Connection } from '../engine/database.js'
import { ident, literal } from '../engine/sql-text.js'
import type { FilesRelation } from '../log/files-relation.js'
import type { DeletionVectorDescriptor } from '../protocol/actions.js'
import { locateDeletionVector } from '../protocol/deletion-vector.js'
import { canonicalFilePath, decodeFilePath } from '../protocol/file-path.js'
import { LOG_FOLDER } from '../protocol/log-path.js'
import type { ObjectStore } from '../storage/store.js'
import type { DeltaTable } from '../table/delta-table.js'

/** A file that is there, or that the log once named. */
interface FoundFile {
  readonly path: string
  readonly size: number
}

const BATCH = 10_000
const FOUND = literal(JSON.stringify([{ path: 'VARCHAR', size: 'BIGINT' }]))

/** Sets of paths of one vacuum, held by the engine: a table may have more files than JavaScript should hold. */
export class VacuumSets {
  private readonly connection: Connection
  private readonly roots: readonly string[]

  private constructor(connection: Connection, roots: readonly string[]) {
    this.connection = connection
    this.roots = roots
  }

  /** @param connection a session of the caller's own: the sets are its temporary tables. */
  static async create(connection: Connection, roots: readonly string[]): Promise<VacuumSets> {
    await connection.run('CREATE TEMP TABLE found (path VARCHAR, size BIGINT)')
    await connection.run('CREATE TEMP TABLE needed (path VARCHAR)')
    return new VacuumSets(connection, roots)
  }

  /** The files of the table's folder that were written before a time, but for what is hidden, and for tables inside the table. */
  async findInFolder(
    store: ObjectStore,
    isVisible: (path: string) => boolean,
    beforeMs: number,
    options: { readonly signal?: AbortSignal | undefined; readonly onListed?: ((files: number) => void) | undefined },
  ): Promise<void> {
    let batch: FoundFile[] = []
    let listed = 0
    const inner = new Set<string>()
    for await (const { path, sizeBytes, modifiedAtMs } of store.list('', { signal: options.signal, followLinks: false })) {
      if (++listed % BATCH === 0) options.onListed?.(listed)
      const log = path.indexOf(`/${LOG_FOLDER}/`)
      if (log > 0) inner.add(path.slice(0, log + 1))
      if (modifiedAtMs >= beforeMs || !isVisible(path)) continue
      batch.push({ path, size: sizeBytes })
      if (batch.length >= BATCH) await this.addFound(batch.splice(0))
    }
    await this.addFound(batch)
    batch = []
    for (const folder of inner) await this.connection.run(`DELETE FROM found WHERE starts_with(path, ${literal(folder)})`)
  }

  /** What the commits of some versions took out of the table: data files, their vectors, and files of the change feed. */
  async findInLog(table: DeltaTable, from: number, to: number, signal: AbortSignal | undefined): Promise<void> {
    for (let version = from; version <= to; version++) {
      signal?.throwIfAborted()
      const commit = await table.commitIfKept(version)
      const removes = commit?.removes ?? []
      await this.addFound([
        ...[...removes, ...(commit?.cdc ?? [])].map(({ path, size }) => ({ path: this.canonical(path), size: size ?? 0 })),
        ...removes.flatMap(({ deletionVector }) => this.vectorPaths(deletionVector).map((path) => ({ path, size: 0 }))),
      ])
    }
  }

  /** Keeps the files, and the files of deletion vectors, of rows of a files relation. */
  async need(relation: FilesRelation, condition: string): Promise<void> {
    const from = `FROM ${ident(relation.name)} WHERE (${condition})`
    await this.connection.run(`INSERT INTO needed SELECT DISTINCT file ${from}`)
    // A path may go by way of `.` and `..`, which no listing does.
    const odd = `SELECT DISTINCT file AS path ${from} AND regexp_matches(file, '(^|/)[.]{0,2}(/|$)')`
    await this.inBatches<{ path: string }>(odd, async (rows) => this.addNeeded(rows.map(({ path }) => posix.normalize(path))))
    const vectors = `SELECT DISTINCT "deletionVector"."storageType" AS kind, "deletionVector"."pathOrInlineDv" AS place ${from} AND dv_id IS NOT NULL AND "deletionVector"."storageType" <> 'i'`
    await this.inBatches<{ kind: string; place: string }>(vectors, async (rows) =>
      this.addNeeded(
        rows.flatMap(({ kind, place }) =>
          this.vectorPaths({ storageType: kind, pathOrInlineDv: place, sizeInBytes: 0, cardinality: 0 }),
        ),
      ),
    )
  }

  /** Keeps every file that the commits of some versions added. */
  async needAdded(table: DeltaTable, from: number, to: number, signal: AbortSignal | undefined): Promise<void> {
    for (let version = from; version <= to; version++) {
      signal?.throwIfAborted()
      const { adds } = (await table.commitIfKept(version)) ?? { adds: [] }
      await this.addNeeded(
        adds.flatMap(({ path, deletionVector }) => [this.canonical(path), ...this.vectorPaths(deletionVector)]),
      )
    }
  }

  /** Settles what goes: found, not needed, and inside the table. */
  async decide(): Promise<{ readonly files: number; readonly bytes: number }> {
    await this.connection.run(
      'CREATE TEMP TABLE doomed AS SELECT row_number() OVER () AS nth, * FROM (SELECT path, max(size) AS size FROM found ' +
        `WHERE path NOT IN (FROM needed) AND NOT starts_with(path, '/') AND NOT starts_with(path, ${literal(`${LOG_FOLDER}/`)}) ` +
        "AND NOT regexp_matches(path, '^[A-Za-z][A-Za-z0-9+.-]*:|(^|/)[.]{0,2}(/|$)') GROUP BY path)",
    )
    const [sum] = await this.connection.rows<{ files: bigint; bytes: bigint | null }>(
      'SELECT count(*) AS files, sum(size)::BIGINT AS bytes FROM doomed',
    )
    return { files: Number(sum?.files ?? 0), bytes: Number(sum?.bytes ?? 0) }
  }

  /** Some of what goes, from the one at `start` on. */
  async doomed(start: number, count: number): Promise<readonly FoundFile[]> {
    const rows = await this.connection.rows<{ path: string; size: bigint }>(
      `SELECT path, size FROM doomed WHERE nth > ${start} AND nth <= ${start + count} ORDER BY nth`,
    )
    return rows.map(({ path, size }) => ({ path, size: Number(size) }))
  }

  private async addFound(files: readonly FoundFile[]): Promise<void> {
    if (files.length === 0) return
    await this.connection.run(`INSERT INTO found SELECT r.* FROM (SELECT unnest(json_transform($1::JSON, ${FOUND})) AS r)`, {
      params: [JSON.stringify(files)],
    })
  }

  private async addNeeded(paths: readonly string[]): Promise<void> {
    if (paths.length === 0) return
    await this.connection.run(`INSERT INTO needed SELECT unnest(json_transform($1::JSON, '["VARCHAR"]'))`, {
      params: [JSON.stringify(paths)],
    })
  }

  private async inBatches<T>(query: string, work: (rows: readonly T[]) => Promise<void>): Promise<void> {
    await this.connection.run(`CREATE OR REPLACE TEMP TABLE batch AS ${query}`)
    for (let start = 0; ; start += BATCH) {
      const rows = await this.connection.rows<T>(`SELECT * FROM batch WHERE rowid >= ${start} AND rowid < ${start + BATCH}`)
      if (rows.length === 0) return
      await work(rows)
    }
  }

  private vectorPaths(vector: DeletionVectorDescriptor | null | undefined): readonly string[] {
    const place = vector ? locateDeletionVector(vector) : undefined
    return place?.kind === 'file' ? [canonicalFilePath(place.path, this.roots)] : []
  }

  private canonical(path: string): string {
    return canonicalFilePath(path, this.roots)
  }
}

/**
 * Whether vacuum may take a file of a table for its own: not what hidden names hold, unless they are those of
 * partitions or of the change feed.
 *
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#delta-data-files
 */
export function visibleTo(partitionColumns: readonly string[], hiddenFolders: readonly string[]): (path: string) => boolean {
  const known = ['_change_data', '_delta_index', ...partitionColumns.map((name) => `${name}=`)]
  const isHidden = (name: string) => {
    if (!name.startsWith('_') && !name.startsWith('.')) return false
    const plain = decodeFilePath(name)
    return !known.some((one) => name.startsWith(one) || plain.startsWith(one))
  }
  return (path) => {
    const names = path.split('/')
    return names[0] !== LOG_FOLDER && !hiddenFolders.includes(names[0] ?? '') && !names.some(isHidden)
  }
}
