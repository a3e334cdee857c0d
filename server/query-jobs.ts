import { randomUUID } from 'node:crypto'
import { type FileHandle, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { DeltaError, isDeltaError, type Lakehouse, type Progress, type QueryResult } from '../src/index.js'
import { wholeAnswer } from './answer-bytes.js'
import { Caller } from './caller.js'
import { HttpError, KnownProblem, type Problem, toProblem } from './errors.js'
import type { AnswerFormat } from './formats.js'
import type { Role } from './guard.js'
import type { ServerLimits } from './options.js'
import type { Query } from './query.js'
import { type QueryRun, runInTurn } from './query-run.js'
import type { QuerySlots } from './query-slots.js'

/** A result is fetched again from the part where fetching it broke off. */
export const PART_BYTES = 8 * 2 ** 20
/** Those that ended are forgotten beyond it, the oldest first. */
const JOBS_MAX = 1000

export type JobState = 'queued' | 'running' | 'succeeded' | 'failed' | 'cancelled'

/** A query that nobody holds a connection for. */
export interface QueryJob {
  readonly id: string
  readonly statement: string
  readonly format: AnswerFormat
  /** Who may see it. */
  readonly role: Role
  readonly state: JobState
  /** ISO 8601. */
  readonly submittedAt: string
  readonly startedAt?: string | undefined
  readonly endedAt?: string | undefined
  /** Rows that its operators have read, and how many there will be. */
  readonly progress?: Pick<Progress, 'done' | 'total'> | undefined
  readonly result?: Pick<QueryResult, 'columns' | 'versions' | 'stats' | 'rowCount'> | undefined
  /** Of the answer, written so far; all of it once the query has succeeded. */
  readonly bytes: number
  readonly problem?: Problem | undefined
}

interface HeldJob extends QueryJob {
  state: JobState
  startedAt?: string
  endedAt?: string
  progress?: Pick<Progress, 'done' | 'total'>
  result?: QueryResult
  bytes: number
  problem?: Problem
  readonly file: string
  readonly caller: Caller
  readonly ended: Promise<void>
}

/** Queries that run on their own, and their answers, which wait on disk for a while. */
export class QueryJobs {
  readonly #lake: Lakehouse
  readonly #limits: ServerLimits
  /** In the order in which they came. */
  readonly #jobs = new Map<string, HeldJob>()
  #bytes = 0

  constructor(lake: Lakehouse, limits: ServerLimits) {
    this.#lake = lake
    this.#limits = limits
  }

  /** On disk. */
  get bytes(): number {
    return this.#bytes
  }

  /** How many there are of each state. */
  get counts(): ReadonlyMap<JobState, number> {
    const counts = new Map<JobState, number>()
    for (const { state } of this.#jobs.values()) counts.set(state, (counts.get(state) ?? 0) + 1)
    return counts
  }

  /** @throws {DeltaError} `TOO_BUSY` */
  start(
    slots: QuerySlots,
    asked: Pick<QueryJob, 'statement' | 'format' | 'role'> & { readonly who: string; readonly query: Query },
  ): QueryJob {
    slots.checkRoom()
    const { statement, format, role, who, query } = asked
    const id = randomUUID()
    const caller = new Caller(this.#limits.asyncTimeoutMs)
    let end = () => {}
    const job: HeldJob = {
      id,
      statement,
      format,
      role,
      state: 'queued',
      submittedAt: new Date().toISOString(),
      bytes: 0,
      file: join(this.#lake.tempFolder, `${id}.${format}`),
      caller,
      ended: new Promise((resolve) => {
        end = resolve
      }),
    }
    this.#jobs.set(id, job)
    this.#forgetBeyond(JOBS_MAX, Number.POSITIVE_INFINITY)
    const watched: Query = async (options) => {
      job.state = 'running'
      job.startedAt ??= new Date().toISOString()
      return await query({ ...options, onProgress: (progress) => Object.assign(job, { progress }) })
    }
    void this.#run(job, () => runInTurn(slots, caller, who, format, watched)).finally(end)
    return job
  }

  /** Those that this role may see, the newest first. */
  list(role: Role): readonly QueryJob[] {
    return [...this.#jobs.values()].filter((job) => role === 'write' || job.role === role).toReversed()
  }

  /** @throws {HttpError} `QUERY_NOT_FOUND` */
  get(id: string, role: Role): QueryJob {
    return this.#find(id, role)
  }

  /** Stops a query that has not ended, and forgets one that has. @throws {HttpError} `QUERY_NOT_FOUND` */
  async delete(id: string, role: Role): Promise<void> {
    const job = this.#find(id, role)
    if (job.endedAt !== undefined) return this.#forget(job)
    job.caller.leave('the query was cancelled')
    await job.ended
  }

  /** The file of an answer, once it is there. @throws {HttpError} `QUERY_NOT_FOUND` @throws {KnownProblem} */
  async answer(id: string, role: Role, signal: AbortSignal): Promise<{ readonly job: QueryJob; readonly file: string }> {
    const job = this.#find(id, role)
    await new Promise<void>((resolve, reject) => {
      void job.ended.then(resolve)
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
    })
    if (job.problem) throw new KnownProblem(job.problem)
    return { job, file: job.file }
  }

  /** Stops what runs, and forgets all. */
  async close(): Promise<void> {
    const jobs = [...this.#jobs.values()]
    for (const { caller } of jobs) caller.leave('the server closed')
    await Promise.all(jobs.map(({ ended }) => ended))
    for (const job of jobs) this.#forget(job)
  }

  async #run(job: HeldJob, begin: () => Promise<QueryRun>): Promise<void> {
    try {
      const run = await begin()
      try {
        job.result = run.result
        await this.#write(job, run)
      } finally {
        await run.close()
      }
      job.state = 'succeeded'
    } catch (error) {
      job.state = isDeltaError(error, 'cancelled') ? 'cancelled' : 'failed'
      job.problem = toProblem(error)
      await this.#free(job)
    }
    job.endedAt = new Date().toISOString()
    setTimeout(() => this.#forget(job), this.#limits.resultsKeptMs).unref()
  }

  async #write(job: HeldJob, run: QueryRun): Promise<void> {
    let file: FileHandle | undefined
    try {
      file = await open(job.file, 'wx', 0o600)
      for await (const chunk of wholeAnswer(run, job.format)) {
        job.caller.signal.throwIfAborted()
        this.#makeRoom(chunk.length)
        this.#bytes += chunk.length
        job.bytes += chunk.length
        await file.writeFile(chunk)
      }
    } finally {
      await file?.close()
    }
  }

  /** Answers that wait longest go first. */
  #makeRoom(bytes: number): void {
    const { resultsBytesMax } = this.#limits
    this.#forgetBeyond(Number.POSITIVE_INFINITY, resultsBytesMax - bytes)
    if (this.#bytes + bytes <= resultsBytesMax) return
    const hint = 'ask for less, fetch and delete other results first, or raise the limit'
    throw new DeltaError('ANSWER_TOO_LARGE', 'the answer takes more room than results may', { resultsBytesMax }, { hint })
  }

  #forgetBeyond(jobsMax: number, bytesMax: number): void {
    for (const job of this.#jobs.values()) {
      if (this.#jobs.size <= jobsMax && this.#bytes <= bytesMax) return
      if (job.endedAt !== undefined) this.#forget(job)
    }
  }

  #forget(job: HeldJob): void {
    if (this.#jobs.delete(job.id)) void this.#free(job)
  }

  async #free(job: HeldJob): Promise<void> {
    this.#bytes -= job.bytes
    job.bytes = 0
    // The folder goes when the lakehouse closes, whatever is left in it.
    await rm(job.file, { force: true }).catch(() => undefined)
  }

  #find(id: string, role: Role): HeldJob {
    const job = this.#jobs.get(id)
    if (job && (role === 'write' || job.role === role)) return job
    throw new HttpError('QUERY_NOT_FOUND', 'there is no such query, or no longer', { id }, 'results are kept for a while only')
  }
}
