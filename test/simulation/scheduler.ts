import * as duckdb from '@duckdb/node-api'
import type { Random } from '../../src/base/random.js'

interface Parked {
  readonly dueMs: number
  readonly order: number
  go(): void
}

/** Calls of the SQL engine that are on its threads. */
let inEngine = 0
const idle: (() => void)[] = []

/** Counts every asynchronous call of the engine, so that the scheduler knows when a step has come to rest. */
function watchEngine(): void {
  const classes = Object.values(duckdb).filter((one): one is typeof duckdb.DuckDBConnection => typeof one === 'function')
  for (const { prototype } of classes)
    for (const name of Object.getOwnPropertyNames(prototype ?? {})) {
      const { value } = Object.getOwnPropertyDescriptor(prototype, name) ?? {}
      if (
        typeof value !== 'function' ||
        name === 'constructor' ||
        !/^(run|stream|fetch|read|prepare|extract|connect|start)/.test(name)
      )
        continue
      Object.defineProperty(prototype, name, {
        configurable: true,
        value(this: unknown, ...args: unknown[]): unknown {
          const result: unknown = value.apply(this, args)
          if (!(result instanceof Promise)) return result
          inEngine++
          const ended = () => {
            if (--inEngine === 0) for (const wake of idle.splice(0)) wake()
          }
          result.then(ended, ended)
          return result
        },
      })
    }
}
watchEngine()

/** Turns of the event loop without work after which nothing more comes by itself. */
const TURNS_QUIET = 4

/** Files that are being read, written or closed. */
const FILE_WORK = /^(FS|CloseReq|FileHandle)/

async function atRest(): Promise<void> {
  for (let quiet = 0; quiet < TURNS_QUIET; quiet++) {
    await new Promise((resolve) => setImmediate(resolve))
    while (inEngine > 0 || process.getActiveResourcesInfo().some((kind) => FILE_WORK.test(kind))) {
      quiet = 0
      // Waiting must not take the processor from what is waited for.
      await new Promise<void>((resolve) => (inEngine > 0 ? idle.push(resolve) : setTimeout(resolve, 0)))
    }
  }
}

/**
 * Virtual time. Whatever waits for a store or a clock is parked; one is let go at a time, that which is due first, and the
 * next only when everything it set off is parked again. So a run follows from its seed, as far as the engine's own threads
 * do: the order in which it finishes two calls that run at once is its own.
 */
export class Scheduler {
  nowMs = Date.UTC(2026, 0, 1)
  readonly random: Random
  private readonly parked: Parked[] = []
  private orders = 0
  /** Steps taken. */
  steps = 0

  constructor(random: Random) {
    this.random = random
  }

  /** Resolves when its time has come. */
  park(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.parked.push({ dueMs: this.nowMs + Math.max(0, ms), order: this.orders++, go: resolve })
    })
  }

  /** Runs until the work is done. @throws when nothing is left to wait for, or it takes too many steps. */
  async run(work: Promise<unknown>, stepsMax: number): Promise<void> {
    let done = false
    const ended = () => {
      done = true
    }
    work.then(ended, ended)
    for (await atRest(); !done; await atRest()) {
      const next = this.parked.reduce<Parked | undefined>(
        (first, one) => (first && isBefore(first, one) ? first : one),
        undefined,
      )
      if (!next) throw new Error('nothing is left to wait for, and the work is not done')
      if (++this.steps > stepsMax) throw new Error(`the work is not done after ${stepsMax} steps`)
      this.parked.splice(this.parked.indexOf(next), 1)
      this.nowMs = Math.max(this.nowMs, next.dueMs)
      next.go()
    }
    await work
  }

  chance(share: number): boolean {
    return this.random.next() < share
  }

  below(limit: number): number {
    return Math.floor(this.random.next() * limit)
  }

  between(low: number, high: number): number {
    return low + this.random.next() * (high - low)
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T
  }
}

function isBefore(one: Parked, other: Parked): boolean {
  return one.dueMs < other.dueMs || (one.dueMs === other.dueMs && one.order < other.order)
}
