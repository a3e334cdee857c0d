import type { ViewPost } from '../../data/case-stream.js'

/** What is known of the bug once it is found: which posts were copies of the ones before them, and when they came. */
export interface Pollution {
  readonly producer: string
  /** Of the copies, ascending. */
  readonly sequences: readonly number[]
  readonly fromMs: number
  readonly toMs: number
  /** Views in the copies. */
  readonly rows: number
}

/** One way to answer how many views each URL has had. The study runs all of them through this door. */
export interface Contestant {
  readonly name: string
  /** In a few words, for the table. */
  readonly title: string
  /** What has to run for it, each a process of its own in production. */
  readonly processes: readonly string[]
  /** The file with what somebody had to write for it. */
  readonly file: string
  /** What `upkeep` is, for the table; absent where there is none. */
  readonly upkeepIs?: string
  /** Why it cannot run here, and how to get what it lacks. */
  lacks(): string | undefined
  /** Of the servers that it stands on. */
  version(): string
  /** @param folder its own, empty. */
  open(folder: string, paths: readonly string[]): Promise<void>
  /** Resolves when the views are acknowledged. A post that failed comes again, as often as it takes. */
  post(post: ViewPost): Promise<void>
  /** The views of a URL, now. */
  ask(url: string): Promise<number>
  /** The views of a URL that had happened by then. */
  askAsOf(url: string, atMs: number): Promise<number>
  /** The views of every URL, now. */
  counts(): Promise<ReadonlyMap<string, number>>
  /** What it has to do every now and then while it takes posts: compaction, a batch run. */
  upkeep?(): Promise<void>
  /** Ends every process that it has started, by SIGKILL, and starts them again. */
  crash(): Promise<void>
  /** Resolves when all that was acknowledged has arrived where answers come from, as far as the design means to bring it there. */
  settle?(): Promise<void>
  /** Takes the pollution out of the answers as well as can be done. */
  repair(pollution: Pollution): Promise<void>
  /** Process ids of what it has started. */
  pids(): readonly number[]
  /** On disk; absent where that cannot be seen. */
  storageBytes(): number | undefined
  close(): Promise<void>
}

export const HOUR_MS = 3_600_000

export function hourOf(ms: number): number {
  return Math.floor(ms / HOUR_MS)
}

/** What counts by hour say of an instant: whole hours, and of its own hour the part that has passed, as if views came evenly. */
export function upTo(hours: Iterable<readonly [hour: number, views: number]>, atMs: number): number {
  let total = 0
  for (const [hour, views] of hours) {
    if (hour < hourOf(atMs)) total += views
    else if (hour === hourOf(atMs)) total += Math.round((views * (atMs - hour * HOUR_MS)) / HOUR_MS)
  }
  return total
}

/** The views of a post by hour and URL. */
export function byHour(post: ViewPost, paths: readonly string[]): Map<number, Map<string, number>> {
  const hours = new Map<number, Map<string, number>>()
  for (const [n, rank] of post.ranks.entries()) {
    const hour = hourOf(post.atMs[n] as number)
    const views = hours.get(hour) ?? new Map<string, number>()
    hours.set(hour, views)
    const url = paths[rank] as string
    views.set(url, (views.get(url) ?? 0) + 1)
  }
  return hours
}
