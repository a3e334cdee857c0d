import { randomUUID } from 'node:crypto'
import { mkdir, readdir, rm, rmdir, unlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** A folder for files that live no longer than this process: staged uploads, answers on their way out. */
export class Spool {
  readonly folder: string
  private readonly made: string | undefined

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
    await writeFile(path, bytes as Uint8Array | Iterable<Uint8Array>)
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

  async remove(path: string): Promise<void> {
    // Most are files, for which this is one call to the system instead of several.
    await unlink(path).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') await rm(path, { force: true, recursive: true })
    })
  }

  /** Removes the folder, and those above it that were made for it and hold nothing else. */
  async close(): Promise<void> {
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
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
