import { LRUCache } from 'lru-cache'
import type { Database, Session } from './database.js'

const KINDS_MAX = 16
const SESSIONS_MAX = 8
/** Of the statements of all sessions: the engine keeps the trees of views, which for a table of many files are large. */
const TEXT_LENGTH_MAX = 16 * 2 ** 20

/**
 * Idle sessions that hold the temporary tables and views of earlier queries. To a query that is asked again, of the same versions, its
 * files are bound already; that is a third of what a small query takes.
 */
export class KeptSessions {
  readonly database: Database
  private readonly idle = new LRUCache<string, Session[]>({
    max: KINDS_MAX,
    maxSize: TEXT_LENGTH_MAX,
    sizeCalculation: (sessions, made) => Math.max(1, sessions.length * made.length),
    dispose: (sessions) => {
      for (const session of sessions) session.close()
    },
  })

  constructor(database: Database) {
    this.database = database
  }

  /** A session in which these ran; give it back or close it. @param made `CREATE TEMP …` statements. */
  async take(made: readonly string[]): Promise<Session> {
    const kept = this.idle.get(keyOf(made))?.pop()
    if (kept) return kept
    const session = await this.database.session()
    try {
      for (const statement of made) await session.run(statement)
      return session
    } catch (error) {
      session.close()
      throw error
    }
  }

  /** Keeps a session whose last query has been read to its end. */
  give(made: readonly string[], session: Session): void {
    const key = keyOf(made)
    const kept = this.idle.get(key) ?? []
    if (kept.length >= SESSIONS_MAX || (kept.length + 1) * key.length > TEXT_LENGTH_MAX) session.close()
    else this.idle.set(key, [...kept, session], { noDisposeOnSet: true })
  }

  close(): void {
    this.idle.clear()
  }
}

function keyOf(made: readonly string[]): string {
  return made.join(';\n')
}
