import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'

/** What was typed in earlier sessions, newest first. */
export interface HistoryFile {
  readonly load: () => string[]
  /** Failing to keep it is no reason to stop working. */
  readonly save: (lines: readonly string[]) => void
}

export const HISTORY_LINES_MAX = 1_000

/** `~` is the user's home; an empty name keeps nothing. */
export function historyFile(name: string): HistoryFile {
  if (name === '') return { load: () => [], save: () => {} }
  const path = name.startsWith('~/') ? join(homedir(), name.slice(2)) : name
  return {
    load: () => {
      try {
        return readFileSync(path, 'utf8').split('\n').filter(Boolean).reverse().slice(0, HISTORY_LINES_MAX)
      } catch {
        return []
      }
    },
    save: (lines) => {
      try {
        mkdirSync(dirname(path), { recursive: true })
        // Statements may hold what is nobody else's business.
        writeFileSync(path, `${lines.slice(0, HISTORY_LINES_MAX).toReversed().join('\n')}\n`, { mode: 0o600 })
      } catch {}
    },
  }
}
