// Runs the compiled command line as people do: in a process of its own.
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { mkdirSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, vi } from 'vitest'

const REPOSITORY = resolve(import.meta.dirname, '../..')
/** A build of its own: others may be at work in `dist` while tests run. */
const BUILD = join(REPOSITORY, 'dist/.cli-test')
const LOCK = join(REPOSITORY, 'dist/.cli-test.lock')
const STAMP = join(BUILD, 'built')
const SOURCES = ['src', 'cli', 'server', 'data', 'bench']

// Each test starts several processes, on machines that may have little to spare.
vi.setConfig({ testTimeout: 120_000 })

/** A stdin that says nothing and does not end. */
export const keptOpen = Symbol('kept open')

export interface Ended {
  readonly code: number | null
  /** What ended it from outside. */
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  /** What it reads; `keptOpen` never ends. */
  readonly stdin?: string | Uint8Array | typeof keptOpen
  /** Another compiled program, such as `bench/main.cjs`. @defaultValue the command line */
  readonly program?: string
}

/** A lakehouse in a folder of its own, gone after the file's tests; and the command line on it. */
export function useCli(): {
  readonly root: () => string
  readonly folder: () => string
  readonly run: (words: readonly string[], options?: RunOptions) => Promise<Ended>
  readonly start: (words: readonly string[], options?: RunOptions) => Running
} {
  let folder = ''
  const children = new Set<Running['process']>()
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'deltaic-cli-'))
    await build()
  }, 240_000)
  afterAll(async () => {
    // What a failed test has left behind.
    for (const child of children) if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
    await rm(folder, { recursive: true, force: true })
  })
  const root = () => join(folder, 'lake')
  const start = (words: readonly string[], options: RunOptions = {}) => {
    const running = startCli(words, { ...options, cwd: options.cwd ?? folder, env: { DELTAIC_ROOT: root(), ...options.env } })
    children.add(running.process)
    return running
  }
  return { root, folder: () => folder, start, run: async (words, options) => await start(words, options).ended }
}

export interface Running {
  readonly process: ChildProcessByStdio<Writable, Readable, Readable>
  readonly ended: Promise<Ended>
  /** Resolves with the first match in what the process has printed so far, to either stream; fails when it ends without. */
  readonly says: (pattern: RegExp) => Promise<RegExpExecArray>
}

function startCli(words: readonly string[], options: RunOptions): Running {
  const env = { PATH: process.env['PATH'], HOME: process.env['HOME'], NO_COLOR: '1', ...options.env }
  const main = join(BUILD, options.program ?? 'cli/main.cjs')
  const child = spawn(process.execPath, [main, ...words], { cwd: options.cwd, env, stdio: ['pipe', 'pipe', 'pipe'] })
  const out: Buffer[] = []
  const err: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
  // A process that fails before it reads its input closes it.
  child.stdin.on('error', () => {})
  if (options.stdin !== keptOpen) child.stdin.end(options.stdin ?? '')
  const text = (chunks: Buffer[]) => Buffer.concat(chunks).toString()
  let hasEnded = false
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => {
      hasEnded = true
      resolve({ code, signal, stdout: text(out), stderr: text(err) })
    })
  })
  const says = async (pattern: RegExp): Promise<RegExpExecArray> => {
    for (;;) {
      const isLast = hasEnded
      const printed = `${text(out)}\n${text(err)}`
      const found = pattern.exec(printed)
      if (found) return found
      if (isLast) throw new Error(`the process ended without ${pattern}:\n${printed}`)
      await sleep(20)
    }
  }
  return { process: child, ended, says }
}

/** Compiles the sources once; other test files wait for the one that does, and nobody does it when nothing changed. */
async function build(): Promise<void> {
  mkdirSync(join(REPOSITORY, 'dist'), { recursive: true })
  await lock()
  try {
    if (builtAtMs() > changedAtMs()) return
    const startedAt = new Date()
    await compile()
    writeFileSync(STAMP, '')
    utimesSync(STAMP, startedAt, startedAt)
  } finally {
    rmSync(LOCK, { recursive: true, force: true })
  }
}

async function lock(): Promise<void> {
  for (;;) {
    try {
      mkdirSync(LOCK)
      return
    } catch {
      const lockedAtMs = statSync(LOCK, { throwIfNoEntry: false })?.mtimeMs ?? 0
      if (lockedAtMs > 0 && Date.now() - lockedAtMs > 180_000) rmSync(LOCK, { recursive: true, force: true })
      await sleep(200)
    }
  }
}

async function compile(): Promise<void> {
  const tsc = join(REPOSITORY, 'node_modules/typescript/bin/tsc')
  const words = ['-p', 'tsconfig.build.json', '--outDir', BUILD, '--tsBuildInfoFile', join(BUILD, '.tsbuildinfo')]
  const child = spawn(process.execPath, [tsc, ...words], { cwd: REPOSITORY, stdio: ['ignore', 'pipe', 'inherit'] })
  let printed = ''
  child.stdout.on('data', (chunk: Buffer) => {
    printed += chunk.toString()
  })
  const code = await new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve))
  if (code !== 0) throw new Error(`the sources do not compile:\n${printed}`)
}

function builtAtMs(): number {
  return statSync(STAMP, { throwIfNoEntry: false })?.mtimeMs ?? 0
}

function changedAtMs(): number {
  const times = SOURCES.flatMap((folder) =>
    readdirSync(join(REPOSITORY, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
      .map((entry) => statSync(join(entry.parentPath, entry.name)).mtimeMs),
  )
  return Math.max(...times)
}
