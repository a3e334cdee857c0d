// The engines that judge deltaic: what other people read our tables with. They are installed outside the repository,
// by the scripts of `DELTAIC_PEER_SCRIPTS` into the folder `DELTAIC_PEERS`.
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { connect } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll } from 'vitest'
import { LineChannel } from './line-channel.js'
import { LineProcess } from './line-process.js'

export type PeerKind = 'deltalake' | 'duckdb' | 'spark' | 'spark-s3a' | 'tpc'

const repository = resolve(dirname(fileURLToPath(import.meta.url)), '../..')

/** What is shared with the repository but no part of it: the scripts of the peers, tables that other engines wrote. */
export const sharedFolder = process.env['DELTAIC_SHARED'] || resolve(repository, '../shared')
const scriptsFolder = process.env['DELTAIC_PEER_SCRIPTS'] || join(sharedFolder, 'peers')
const peersFolder = process.env['DELTAIC_PEERS']

/** The set-up leaves a stamp for each part that it has installed whole. */
const STAMP = {
  deltalake: '.stamp-light',
  duckdb: '.stamp-light',
  spark: '.stamp-spark',
  'spark-s3a': '.stamp-s3a',
  tpc: '.stamp-tpc',
} as const

export const peers = {
  /** Whether this engine can be started here. */
  available(kind: PeerKind): boolean {
    if (peersFolder === undefined || !existsSync(join(scriptsFolder, 'read_table.py'))) return false
    return existsSync(join(peersFolder, 'venv/bin/python')) && existsSync(join(peersFolder, STAMP[kind]))
  },
  /** For `describeWhen`: why this engine is not there. */
  reason(kind: PeerKind): string {
    return peersFolder === undefined ? `DELTAIC_PEERS is not set, so there is no ${kind}` : `DELTAIC_PEERS holds no ${kind}`
  },
}

export interface PeerError {
  readonly class: string
  readonly message: string
  /** Spark's error condition, such as `DELTA_CONCURRENT_APPEND`. */
  readonly condition?: string
  readonly cause?: string
}

/** What an engine says to one command. A refusal is an answer, so that tests can look at it. */
export type PeerAnswer = ({ readonly ok: true } & Record<string, unknown>) | { readonly ok: false; readonly error: PeerError }

/** A running engine that takes commands; `spark_run.py --help` and `deltalake_run.py --help` list them. */
export interface PeerClient extends AsyncDisposable {
  /** Rejects only when the engine itself has died or hangs. Commands may overlap; they run in order. */
  run(command: object): Promise<PeerAnswer>
  close(): Promise<void>
}

export interface PeerOptions {
  /** Added to the environment; for S3 see `s3Environment`. */
  readonly env?: Record<string, string> | undefined
  /** Spark's own settings. */
  readonly conf?: Record<string, string> | undefined
}

/** Starts Spark with Delta Lake; `base` is its warehouse. Takes 8 s and more: tests use `sharedSpark`. */
export async function startSpark(base: string, options: PeerOptions = {}): Promise<PeerClient> {
  const settings = Object.entries(options.conf ?? {}).flatMap(([key, value]) => ['--conf', `${key}=${value}`])
  return await startClient(['spark_run.py', base, ...settings], options)
}

/** Starts delta-rs; tables are named relative to `base`. */
export async function startDeltalake(base: string, options: PeerOptions = {}): Promise<PeerClient> {
  return await startClient(['deltalake_run.py', base], options)
}

/**
 * A running Spark for the tests of a file alone, by the first call of the function given back until the last test: the one of
 * the whole run, see `spark-host.ts`. Its managed tables are anywhere; settings are those of this file.
 */
export function sharedSpark(conf: Readonly<Record<string, string>> = {}): () => Promise<PeerClient> {
  let lent: Promise<PeerClient> | undefined
  afterAll(async () => {
    if (lent) await (await lent).close()
  })
  return () => {
    lent ??= borrowSpark(conf)
    return lent
  }
}

/** The first answer may have to wait for a Spark to start, or for another file to end. */
const LENT_MS_MAX = 1_200_000

async function borrowSpark(conf: Readonly<Record<string, string>>): Promise<PeerClient> {
  const socket = connect(process.env['DELTAIC_TEST_SPARK'] ?? '')
  const channel = new LineChannel(socket, socket, LENT_MS_MAX, () => socket.destroy())
  socket.on('error', (error) => channel.fail(error)).on('close', () => channel.fail(new Error('Spark has ended')))
  const close = async (): Promise<void> => void socket.end()
  const spark = {
    run: async (command: object) => (await channel.ask(command)) as PeerAnswer,
    close,
    [Symbol.asyncDispose]: close,
  }
  await spark.run({ conf })
  return spark
}

async function startClient(args: readonly string[], options: PeerOptions): Promise<PeerClient> {
  const engine = startScript(args, options)
  try {
    await engine.next()
  } catch (error) {
    await engine.close()
    throw error
  }
  const close = (): Promise<void> => engine.close()
  return { run: async (command) => (await engine.ask(command)) as PeerAnswer, close, [Symbol.asyncDispose]: close }
}

export interface ReadRequest {
  readonly uri: string
  readonly version?: number | undefined
  /** A query over the table, which it calls `t`. */
  readonly sql?: string | undefined
  /** How many rows the answer shows, in their canonical form and order. */
  readonly show?: number | undefined
}

/** What an engine saw. `error` stands in place of all the rest when it refused. */
export interface ReadAnswer {
  readonly error?: PeerError
  readonly version?: number
  /** How many rows there were. */
  readonly rows?: number
  /** The same for every engine that sees the same rows; compare with `digestOfRows`. */
  readonly digest?: string
  readonly show?: readonly Record<string, unknown>[]
  readonly columns?: readonly (readonly [name: string, type: string])[]
  readonly schema?: { readonly fields: readonly Record<string, unknown>[] }
  readonly protocol?: Record<string, unknown>
  readonly partitionColumns?: readonly string[]
}

/** An engine that reads tables. Reads may overlap; they are answered in order. */
export interface PeerReader extends AsyncDisposable {
  read(request: ReadRequest): Promise<ReadAnswer>
  close(): Promise<void>
}

/** Starts an engine that reads many tables, one after the other. */
export function startReader(engine: 'deltalake' | 'duckdb' | 'polars' | 'spark', options: PeerOptions = {}): PeerReader {
  const reader = startScript(['read_table.py', engine, '--batch'], options)
  const close = (): Promise<void> => reader.close()
  return { read: async (request) => (await reader.ask(request)) as ReadAnswer, close, [Symbol.asyncDispose]: close }
}

/** Reads with a Spark that is already running, which saves starting a second one. */
export async function readWithSpark(spark: PeerClient, request: ReadRequest): Promise<ReadAnswer> {
  const uri = request.uri.replace(/^s3:/, 's3a:').replaceAll('`', '``')
  const at = request.version === undefined ? '' : ` VERSION AS OF ${request.version}`
  const view = await spark.run({ sql: `CREATE OR REPLACE TEMPORARY VIEW t AS SELECT * FROM delta.\`${uri}\`${at}` })
  if (!view.ok) return { error: view.error }
  const answer = await spark.run({ sql: request.sql ?? 'SELECT * FROM t', digest: true, limit: request.show ?? 0 })
  if (!answer.ok) return { error: answer.error }
  const { rows, rowCount, digest, columns } = answer
  return { rows: rowCount, digest, columns, ...(request.show === undefined ? {} : { show: rows }) } as ReadAnswer
}

/** Writes the tables and queries of a benchmark of the TPC into a folder; see `bench/tpc.py`. */
export async function writeTpc(kind: 'tpch' | 'tpcds', scale: number, folder: string): Promise<void> {
  const python = join(peersFolder ?? '', 'venv/bin/python')
  await promisify(execFile)(python, [join(repository, 'bench/tpc.py'), kind, String(scale), folder])
}

function startScript(args: readonly string[], options: PeerOptions): LineProcess {
  if (peersFolder === undefined) throw new Error('DELTAIC_PEERS is not set: ask peers.available first')
  const [script = '', ...rest] = args
  const env = { PYTHONDONTWRITEBYTECODE: '1', ...options.env }
  return new LineProcess({
    command: join(peersFolder, 'venv/bin/python'),
    args: [join(scriptsFolder, script), ...rest],
    env,
  })
}
