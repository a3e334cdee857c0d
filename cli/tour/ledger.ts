/** What has been acknowledged: for each version, the views of each URL that became visible with it. */
export interface Ledger {
  readonly rows: number
  /** The newest version that was acknowledged; -1 before the first. */
  readonly version: number
  readonly acks: number
  /** How many versions the acknowledged rows came in: requests that arrive together share one. */
  readonly commits: number
  record(version: number, perUrl: ReadonlyMap<string, number>): void
  /** The views of each URL in a version: those of all acks up to it. */
  countsAt(version: number): ReadonlyMap<string, number>
}

export interface UrlViews {
  readonly url: string
  readonly views: number
}

export function createLedger(): Ledger {
  const entries: { readonly version: number; readonly perUrl: ReadonlyMap<string, number> }[] = []
  const versions = new Set<number>()
  let rows = 0
  let newest = -1
  return {
    get rows() {
      return rows
    },
    get version() {
      return newest
    },
    get acks() {
      return entries.length
    },
    get commits() {
      return versions.size
    },
    record: (version, perUrl) => {
      entries.push({ version, perUrl })
      versions.add(version)
      newest = Math.max(newest, version)
      rows += totalOf(perUrl)
    },
    countsAt: (version) => {
      const counts = new Map<string, number>()
      for (const entry of entries) {
        if (entry.version > version) continue
        for (const [url, views] of entry.perUrl) counts.set(url, (counts.get(url) ?? 0) + views)
      }
      return counts
    },
  }
}

export function totalOf(counts: ReadonlyMap<string, number>): number {
  let total = 0
  for (const views of counts.values()) total += views
  return total
}

/** The most viewed, most first; equal ones by name, as SQL orders ASCII text. */
export function topOf(counts: ReadonlyMap<string, number>, limit: number): UrlViews[] {
  return [...counts]
    .map(([url, views]) => ({ url, views }))
    .sort((a, b) => b.views - a.views || (a.url < b.url ? -1 : 1))
    .slice(0, limit)
}
