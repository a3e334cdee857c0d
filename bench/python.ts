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
export function python(script: string, args: readonly string[], input = '', timeout?: number): string | undefined {
  const executable = join(process.env['DELTAIC_PEERS'] ?? '', 'venv', 'bin', 'python')
  if (process.env['DELTAIC_PEERS'] === undefined || !existsSync(executable)) return undefined
  const options = { encoding: 'utf8', input, maxBuffer: 2 ** 28, timeout, killSignal: 'SIGKILL' } as const
  return execFileSync(executable, [join('bench', script), ...args], options)
}

/** Seconds of each run of each query, `null` for one that the engine refuses; or why there are none. */
export function timeQueries(
  engine: string,
  lake: string,
  queries: readonly string[],
  rounds: number,
  timeoutMs?: number,
): PeerTimes<readonly (readonly number[] | null)[]> | string {
  try {
    const answer = python('peers.py', ['query', engine, lake, String(rounds)], JSON.stringify(queries), timeoutMs)
    return answer === undefined ? 'DELTAIC_PEERS names no folder with it' : (JSON.parse(answer) as PeerTimes<never>)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ETIMEDOUT') throw error
    return `it gave no answer within ${(timeoutMs ?? 0) / 1000} s`
  }
}
