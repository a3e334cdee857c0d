import type { Database } from '../engine/database.js'
import { ident } from '../engine/sql-text.js'
import type { Commit } from '../protocol/commit-file.js'
import { FilesRelation } from './files-relation.js'
import { addCounted, type CountedFiles, NO_FILES, type TableTotals, totalsAfter } from './table-totals.js'

/** The totals of a log's newest version: counted once from the files relation, then carried on from commit to commit. */
export class RunningTotals {
  private known: TableTotals | undefined
  private counting: { readonly done: Promise<void>; readonly since: [Commit, ReadonlySet<string>][] } | undefined
  private counted = false

  /** `undefined` while they are not known. */
  get now(): TableTotals | undefined {
    return this.known
  }

  /** Whether they were never counted: from then on commits keep them known, but for those that do not tell. */
  get neverCounted(): boolean {
    return !this.counted
  }

  /** Takes totals of the newest version that were counted elsewhere. */
  know(totals: TableTotals): void {
    this.counted = true
    this.known = totals
  }

  /** Takes in the next commit. @param mayBeLive as for `totalsAfter`. */
  follow(commit: Commit, mayBeLive: ReadonlySet<string>): void {
    this.counting?.since.push([commit, mayBeLive])
    this.known &&= totalsAfter(this.known, commit, mayBeLive)
  }

  /** Takes in commits of other writers, of whose removes nobody knows whether the files were there. */
  followOthers(commits: readonly Commit[]): void {
    for (const commit of commits)
      if (commit.adds.length > 0 || commit.removes.length > 0) {
        this.known = undefined
        this.counting = undefined
      } else this.follow(commit, NONE)
  }

  /** Counts the files of the newest version; `version` tells which that is. Commits may come in meanwhile. */
  async count(database: Database, version: number, relation: () => Promise<FilesRelation>): Promise<void> {
    if (this.counting) return this.counting.done
    const since: [Commit, ReadonlySet<string>][] = []
    const count = async () => {
      const totals = await countTotals(database, await relation(), version)
      if (this.counting?.since !== since) return
      this.counted = true
      this.known = since.reduce<TableTotals | undefined>(
        (known, [commit, mayBeLive]) => known && totalsAfter(known, commit, mayBeLive),
        totals,
      )
    }
    const ended = () => {
      if (this.counting === counting) this.counting = undefined
    }
    const counting = { since, done: count().finally(ended) }
    this.counting = counting
    await counting.done
  }
}

const NONE: ReadonlySet<string> = new Set()

/** Groups files by a grain that no bin of sizes cuts through; so a million of them come as some thousand rows. */
export async function countTotals(database: Database, relation: FilesRelation, version: number): Promise<TableTotals> {
  const rows = await database.rows<Readonly<Record<keyof CountedFiles, bigint>>>(
    'SELECT count(*) AS files, any_value(size) AS size, any_value(deleted) AS deleted, sum(size)::BIGINT AS bytes, ' +
      'count(dv_id) AS vectors, sum(deleted)::BIGINT AS deletedRows FROM ' +
      `(SELECT coalesce("size", 0) AS size, dv_id, coalesce("deletionVector".cardinality, 0) AS deleted FROM ${ident(relation.name)} ` +
      `WHERE ${FilesRelation.liveAt(version)}) GROUP BY size < ${FINE}, size // (CASE WHEN size < ${FINE} THEN ${FINE_GRAIN} ELSE ${GRAIN} END), ` +
      'length(deleted::VARCHAR), deleted = 0, deleted >= 2147483647',
  )
  const counted = rows.map((row) => Object.fromEntries(Object.entries(row).map(([key, value]) => [key, Number(value)])))
  return addCounted(NO_FILES, counted as unknown as CountedFiles[])
}

/** Bins of sizes begin at multiples of 8 KiB; from 8 MiB on, of 4 MiB. */
const FINE = 2 ** 23
const FINE_GRAIN = 2 ** 13
const GRAIN = 2 ** 22
