import { LRUCache } from 'lru-cache'
import type { Database, Session } from '../engine/database.js'

const VIEWS_MAX = 16
const SESSIONS_MAX = 8
/** The views of a table of many files are long, and cost little beside reading it. */
const TEXT_LENGTH_MAX = 64 * 1024

/**
 * Idle sessions that hold the views of earlier queries. To a query that is asked again, of the same versions, its files
 * are bound already; that is a third of what a small query takes.
 */
export class ViewSessions {
  readonly database: Database
  private readonly idle = new LRUCache<string, Session[]>({
    max: VIEWS_MAX,
    dispose: (sessions) => {
      for (const session of sessions) session.close()
    },
  })

  constructor(database: Database) {
    this.database = database
  }

  /** A session with these views, in their names' schema; give it back or close it. @param views `CREATE TEMP VIEW` statements. */
  async take(views: readonly string[]): Promise<Session> {
    const kept = this.idle.get(keyOf(views))?.pop()
    if (kept) return kept
    const session = await this.database.session()
    try {
      for (const view of views) await session.run(view)
      return session
    } catch (error) {
      session.close()
      throw error
    }
  }

  /** Keeps a session whose last query has been read to its end. */
  give(views: readonly string[], session: Session): void {
    const key = keyOf(views)
    const kept = this.idle.get(key) ?? []
    if (kept.length >= SESSIONS_MAX || key.length > TEXT_LENGTH_MAX) session.close()
    else this.idle.set(key, [...kept, session], { noDisposeOnSet: true })
  }

  close(): void {
    this.idle.clear()
  }
}

function keyOf(views: readonly string[]): string {
  return views.join(';\n')
}
