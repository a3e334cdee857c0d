import type { Client } from './client.js'
import { type Ledger, topOf, totalOf, type UrlViews } from './ledger.js'

export const TOUR_TABLE = 'page_views'

/** How many views the most viewed URLs had, as of the version that was read. */
export interface TopUrls {
  readonly version: number
  /** Views of all URLs. */
  readonly total: number
  readonly top: readonly UrlViews[]
}

const TOP = 10

/** Asks over HTTP: the newest version, or an earlier one. */
export async function askTopUrls(client: Client, version?: number): Promise<TopUrls> {
  const source = version === undefined ? TOUR_TABLE : `${TOUR_TABLE} VERSION AS OF ${version}`
  const { rows, versions } = await client.sql<{ url: string; views: number; total: number }>(
    `SELECT url, count(*) AS views, (sum(count(*)) OVER ())::BIGINT AS total
     FROM ${source} GROUP BY url ORDER BY views DESC, url LIMIT ${TOP}`,
  )
  return {
    version: versions[TOUR_TABLE] ?? -1,
    total: Number(rows[0]?.total ?? 0),
    top: rows.map(({ url, views }) => ({ url, views: Number(views) })),
  }
}

/** Whether an answer is to the last view what was acknowledged at its version. */
export function isExact(answer: TopUrls, ledger: Ledger): boolean {
  const counts = ledger.countsAt(answer.version)
  return isSameAnswer(answer, { version: answer.version, total: totalOf(counts), top: topOf(counts, TOP) })
}

/** Whether two answers say the same, whatever their versions. */
export function isSameAnswer(a: TopUrls, b: TopUrls): boolean {
  return a.total === b.total && JSON.stringify(a.top) === JSON.stringify(b.top)
}
