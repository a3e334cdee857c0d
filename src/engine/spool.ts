import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { type FileHandle, mkdir, open, readdir, rm, rmdir, unlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** As many pieces as systems take in one call. */
const IO_VECTORS_MAX = 1024

/** Files that are kept to be written again, and the bytes that one of them may hold. */
const IDLE_MAX = 4
const IDLE_BYTES_MAX = 4 * 1024 * 1024

/** A file that stays open while it is lent again and again. */
interface LentFile {
  readonly path: string
  readonly handle: FileHandle
  sizeBytes: number
}

/** A folder for files that live no longer than this process: staged uploads, answers on their way out. */
export class Spool {
  readonly folder: string
  private readonly made: string | undefined
  /** Files of text that were lent. */
  private readonly lent = new Map<string, LentFile>()
  private readonly idle: LentFile[] = []

  private constructor(folder: string, made: string | undefined) {
    this.folder = folder
    this.made = made
  }

  /** Makes a fresh folder below `parent`, and clears away those of processes that ended without doing so. */
  static async create(parent: string): Promise<Spool> {
    const folder = join(parent, `spool-${process.pid}-${randomUUID()}`)
    const made = await mkdir(folder, { recursive: true })
    for (const name of await readdir(parent)) {
      const pid = Number(/^spool-(\d+)-/.exec(name)?.[1] ?? Number.NaN)
      if (Number.isInteger(pid) && !isRunning(pid)) await rm(join(parent, name), { force: true, recursive: true })
    }
    return new Spool(folder, made)
  }

  /** A path that nothing uses yet. The file is the caller's to write and to remove. */
  file(extension: string): string {
    return join(this.folder, `${randomUUID()}.${extension}`)
  }

  async write(path: string, bytes: Uint8Array | readonly Uint8Array[]): Promise<void> {
    if (bytes instanceof Uint8Array) return writeFile(path, bytes)
    await using file = await open(path, 'w')
    let start = 0
    for (let rest = bytes; rest.length > 0; rest = rest.slice(IO_VECTORS_MAX))
      start += await writeAll(file, rest.slice(0, IO_VECTORS_MAX), start)
  }

  /** Bytes in a file of their own, or the file that holds them already. */
  async take(
    body: { readonly kind: 'bytes'; readonly chunks: readonly Uint8Array[] } | { readonly kind: 'file'; readonly path: string },
  ): Promise<string> {
    if (body.kind === 'file') return body.path
    const path = this.file('body')
    await this.write(path, body.chunks)
    return path
  }

  /**
   * Text in a file that may have held other text before: to make and to remove a file costs more than a few thousand rows do.
   * Not for formats of which the engine remembers something by their file's name. The caller removes it as any other.
   */
  async lend(chunks: readonly Uint8Array[]): Promise<string> {
    const sizeBytes = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0)
    const file = this.takeIdle() ?? (await this.toLend())
    try {
      let start = 0
      for (let rest = chunks; rest.length > 0; rest = rest.slice(IO_VECTORS_MAX))
        start += await writeAll(file.handle, rest.slice(0, IO_VECTORS_MAX), start)
      if (sizeBytes < file.sizeBytes) await file.handle.truncate(sizeBytes)
      file.sizeBytes = sizeBytes
    } catch (error) {
      await discard(file)
      throw error
    }
    this.lent.set(file.path, file)
    return file.path
  }

  async remove(path: string): Promise<void> {
    const lent = this.lent.get(path)
    this.lent.delete(path)
    if (lent && lent.sizeBytes <= IDLE_BYTES_MAX && this.idle.length < IDLE_MAX) return void this.idle.push(lent)
    if (lent) return discard(lent)
    // A store on this machine has moved it away.
    if (!existsSync(path)) return
    // Most are files, for which this is one call to the system instead of several.
    await unlink(path).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') await rm(path, { force: true, recursive: true })
    })
  }

  /** Removes the folder, and those above it that were made for it and hold nothing else. */
  async close(): Promise<void> {
    for (const { handle } of [...this.idle.splice(0), ...this.lent.values()]) await handle.close()
    this.lent.clear()
    await rm(this.folder, { force: true, recursive: true })
    if (this.made === undefined) return
    for (let folder = dirname(this.folder); folder.startsWith(this.made); folder = dirname(folder)) {
      try {
        await rmdir(folder)
      } catch {
        return
      }
    }
  }

  private takeIdle(): LentFile | undefined {
    for (let file = this.idle.pop(); file; file = this.idle.pop()) {
      // Where temporary files are swept now and then, an open one may have lost its name.
      if (existsSync(file.path)) return file
      void discard(file)
    }
    return undefined
  }

  private async toLend(): Promise<LentFile> {
    const path = this.file('text')
    return { path, handle: await open(path, 'wx'), sizeBytes: 0 }
  }
}

async function discard({ path, handle }: LentFile): Promise<void> {
  await handle.close()
  await rm(path, { force: true })
}

/** @returns the bytes that were written, which is all of them. */
async function writeAll(file: FileHandle, chunks: readonly Uint8Array[], start: number): Promise<number> {
  const sizeBytes = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0)
  let { bytesWritten } = await file.writev(chunks as Uint8Array[], start)
  // A disk that takes only some of it says why when it is given the rest.
  for (const whole = Buffer.concat(bytesWritten < sizeBytes ? chunks : []); bytesWritten < sizeBytes; )
    bytesWritten += (await file.write(whole, bytesWritten, sizeBytes - bytesWritten, start + bytesWritten)).bytesWritten
  return sizeBytes
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
