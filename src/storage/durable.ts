import fs from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { promisify } from 'node:util'

/** Past this many known folders the memory of them starts anew; forgetting one costs a mkdir. */
const KNOWN_MAX = 10_000

/** Makes folders that survive a power cut, and remembers which are there. */
export class Folders {
  readonly #known = new Set<string>()
  readonly #making = new Map<string, Promise<void>>()

  /** After this the folder is there, and durably so. Callers that need the same folder at once wait for one making. */
  async ensure(folder: string): Promise<void> {
    if (this.#known.has(folder)) return
    const making = this.#making.get(folder) ?? make(folder).finally(() => this.#making.delete(folder))
    this.#making.set(folder, making)
    await making
    if (this.#known.size >= KNOWN_MAX) this.#known.clear()
    this.#known.add(folder)
  }

  forgetAll(): void {
    this.#known.clear()
  }

  /** For a folder that somebody else has removed. */
  forget(folder: string): void {
    this.#known.delete(folder)
  }
}

// What waits for no disk is done at once: a turn of Node's pool costs a tenth of what a small commit takes. To open what was
// just written, and to close what is synced, only changes tables of the system.
const [openNew, write] = [promisify(fs.open), promisify(fs.writeFile)]
const synced = (file: number) =>
  new Promise<void>((resolve, reject) => fs.fsync(file, (error) => (error ? reject(error) : resolve())))

/** Writes a new file and waits until its bytes are on the disk. */
export async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
  const file = await openNew(path, 'wx')
  try {
    await write(file, bytes)
    await synced(file)
  } finally {
    fs.closeSync(file)
  }
}

/** Waits until the bytes of a file, or the names in a folder, are on the disk. */
export async function sync(path: string): Promise<void> {
  const file = fs.openSync(path, 'r')
  try {
    await synced(file)
  } finally {
    fs.closeSync(file)
  }
}

/** Waits until the names in the folder are on the disk. Windows cannot open a folder and orders names itself. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform !== 'win32') await sync(folder)
}

/** A new folder is durable once each folder above it that got a new name has been written; its own names are the caller's. */
async function make(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true })
  if (first === undefined) return
  let made = folder
  while (made.length >= first.length) {
    made = dirname(made)
    await syncFolder(made)
  }
}
