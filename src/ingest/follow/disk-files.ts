import { type FileHandle, open, readdir, stat } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve, sep } from 'node:path'
import { pathToFileURL } from 'node:url'
import { DeltaError } from '../../base/errors.js'
import { isAbsent } from '../../storage/disk-errors.js'
import type { FollowedFiles, FoundFile } from './found-file.js'
import { nameBeforeRotation } from './rotated-name.js'

/** Files that are kept open, so that what is renamed away or deleted can be read to its end. */
const OPEN_MAX = 256
/** How long a writer may go on with a file that was renamed away or deleted. */
const GONE_MS = 10_000

interface OpenFile {
  readonly handle: FileHandle
  readonly path: string
}

/** A file of this machine with those that it was rotated into, or all files below a folder. */
export class DiskFiles implements FollowedFiles {
  readonly uri: string
  private readonly folder: string
  readonly only: string | undefined
  private readonly opened = new Map<string, OpenFile>()

  private constructor(folder: string, only: string | undefined) {
    this.folder = folder
    this.only = only
    this.uri = pathToFileURL(only === undefined ? folder : join(folder, only)).href
  }

  /** @throws {DeltaError} `FILE_NOT_FOUND` when neither the file nor its folder is there. */
  static async at(path: string): Promise<DiskFiles> {
    const full = resolve(path)
    const info = await stat(full).catch(() => undefined)
    if (info?.isDirectory()) return new DiskFiles(full, undefined)
    const folder = await stat(dirname(full)).catch(() => undefined)
    if (folder?.isDirectory()) return new DiskFiles(dirname(full), basename(full))
    throw new DeltaError('FILE_NOT_FOUND', 'there is neither such a file nor its folder', { file: path })
  }

  async look(nowMs: number): Promise<readonly FoundFile[]> {
    const found = new Map<string, FoundFile>()
    for (const path of await this.paths()) {
      const info = await stat(join(this.folder, path), { bigint: true }).catch(absent)
      // Of several names for one file, the first counts.
      if (!info?.isFile() || found.has(String(info.ino))) continue
      found.set(String(info.ino), {
        path,
        key: String(info.ino),
        sizeBytes: Number(info.size),
        writtenAtMs: Number(info.mtimeMs),
        changedAtMs: Math.max(Number(info.mtimeMs), Number(info.ctimeMs)),
        mayGrow: true,
      })
    }
    for (const [key, { handle, path }] of this.opened) {
      if (found.has(key)) continue
      const info = await handle.stat()
      const writtenAtMs = Math.trunc(info.mtimeMs)
      const mayGrow = nowMs - writtenAtMs < GONE_MS
      found.set(key, { path, key, sizeBytes: info.size, writtenAtMs, changedAtMs: writtenAtMs, mayGrow })
    }
    return [...found.values()]
  }

  async read(file: FoundFile, start: number, endExclusive: number): Promise<Uint8Array | undefined> {
    const handle = await this.open(file)
    if (!handle) return undefined
    const bytes = Buffer.allocUnsafe(Math.max(0, Math.min(endExclusive, file.sizeBytes) - start))
    let filled = 0
    while (filled < bytes.length) {
      const { bytesRead } = await handle.read(bytes, filled, bytes.length - filled, start + filled)
      if (bytesRead === 0) break
      filled += bytesRead
    }
    return bytes.subarray(0, filled)
  }

  async finish(file: FoundFile): Promise<boolean> {
    const held = this.opened.get(file.key)
    if (!held || file.mayGrow) return false
    const { nlink } = await held.handle.stat()
    this.opened.delete(file.key)
    await held.handle.close()
    return nlink === 0
  }

  async close(): Promise<void> {
    for (const { handle } of this.opened.values()) await handle.close()
    this.opened.clear()
  }

  private async open(file: FoundFile): Promise<FileHandle | undefined> {
    const held = this.opened.get(file.key)
    if (held) {
      this.opened.delete(file.key)
      this.opened.set(file.key, { handle: held.handle, path: file.path })
      return held.handle
    }
    const handle = await open(join(this.folder, file.path)).catch(absent)
    if (!handle) return undefined
    // Another file may have got the name since.
    if (String((await handle.stat({ bigint: true })).ino) !== file.key) {
      await handle.close()
      return undefined
    }
    this.opened.set(file.key, { handle, path: file.path })
    const [oldest] = this.opened
    if (oldest && this.opened.size > OPEN_MAX) {
      this.opened.delete(oldest[0])
      await oldest[1].handle.close()
    }
    return handle
  }

  private async paths(): Promise<readonly string[]> {
    const { only } = this
    if (only !== undefined) {
      const names = (await readdir(this.folder).catch(absent)) ?? []
      return names.filter((name) => name === only || nameBeforeRotation(name) === only)
    }
    const entries = (await readdir(this.folder, { recursive: true, withFileTypes: true }).catch(absent)) ?? []
    return entries
      .filter((entry) => !entry.isDirectory())
      .map((entry) => relative(this.folder, join(entry.parentPath, entry.name)).split(sep).join('/'))
      .filter((path) => !path.split('/').some(isHidden))
      .sort()
  }
}

/** Names of what is not there yet: hidden files, and those that are on their way under another name. */
export function isHidden(name: string): boolean {
  return /^[._]|\.(?:tmp|part|partial|crdownload|swp)$|~$/.test(name)
}

function absent(error: unknown): undefined {
  if (isAbsent(error)) return undefined
  throw error
}
