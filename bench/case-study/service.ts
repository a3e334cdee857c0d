import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, openSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** A server that a contestant starts, kills and starts again. */
export class Service {
  private child: ChildProcess | undefined
  private readonly command: string
  private readonly words: readonly string[]
  private readonly log: string
  private readonly isUp: () => Promise<unknown>

  /** @param isUp rejects as long as the server does not answer. */
  constructor(command: string, words: readonly string[], log: string, isUp: () => Promise<unknown>) {
    this.command = command
    this.words = words
    this.log = log
    this.isUp = isUp
  }

  get pid(): number | undefined {
    return this.child?.pid
  }

  /** Resolves when it answers. */
  async start(): Promise<void> {
    const log = openSync(this.log, 'a')
    const child = spawn(this.command, this.words, { stdio: ['ignore', log, log] })
    this.child = child
    for (let tries = 0; ; tries++) {
      await sleep(25)
      if (child.exitCode !== null || tries === 2400)
        throw new Error(`${this.command}: ${readFileSync(this.log, 'utf8').slice(-2000)}`)
      if (await this.isUp().then(yes, no)) return
    }
  }

  async stop(signal: NodeJS.Signals): Promise<void> {
    const child = this.child
    this.child = undefined
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill(signal)
    await ended
  }
}

const yes = () => true
const no = () => false

export function isInstalled(command: string): boolean {
  return spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0
}

/** The first `1.2.3` in what `--version` prints. */
export function versionOf(command: string): string {
  const { stdout } = spawnSync(command, ['--version'], { encoding: 'utf8' })
  return /\d+\.\d+\.\d+/.exec(stdout)?.[0] ?? 'unknown'
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address ? address.port : 0
}

/** What the files below a folder hold. */
export function folderBytes(folder: string): number {
  let bytes = 0
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) bytes += statSync(join(entry.parentPath, entry.name), { throwIfNoEntry: false })?.size ?? 0
  return bytes
}

/** What processes have read and written, files and sockets alike, cached or not; `undefined` where the system does not tell. */
export function bytesMoved(pids: readonly number[]): number | undefined {
  if (!existsSync('/proc/self/io')) return undefined
  let bytes = 0
  for (const pid of pids) {
    const text = readFileSync(`/proc/${pid}/io`, 'utf8')
    for (const name of ['rchar', 'wchar']) bytes += Number(new RegExp(`${name}: (\\d+)`).exec(text)?.[1] ?? 0)
  }
  return bytes
}
