import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'

/** What another engine took, as `bench/peers.py` tells it. */
export interface PeerTimes<T> {
  readonly version: string
  readonly seconds: T
  readonly memoryBytes: number
}

/** A script of `bench/` with Python's peers; `undefined` where `DELTAIC_PEERS` names no folder with them. */
export function python(script: string, args: readonly string[], input = ''): string | undefined {
  const executable = join(process.env['DELTAIC_PEERS'] ?? '', 'venv', 'bin', 'python')
  if (process.env['DELTAIC_PEERS'] === undefined || !existsSync(executable)) return undefined
  return execFileSync(executable, [join('bench', script), ...args], { encoding: 'utf8', input, maxBuffer: 2 ** 28 })
}

/** Seconds of each run of each query; `null` for one that the engine refuses. */
export function timeQueries(engine: string, lake: string, queries: readonly string[], rounds: number) {
  const answer = python('peers.py', ['query', engine, lake, String(rounds)], JSON.stringify(queries))
  return answer === undefined ? undefined : (JSON.parse(answer) as PeerTimes<readonly (readonly number[] | null)[]>)
}
