import { statSync } from 'node:fs'
import { copyFile, link, lstat, open, rename, rm, rmdir, stat, unlink, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { DeltaError } from '../base/errors.js'
import { type Random, systemRandom } from '../base/random.js'
import { clampRange } from './byte-range.js'
import { diskError, errnoOf, isAbsent, localFileSize } from './disk-errors.js'
import { Folders, sync, syncFolder, writeDurably } from './durable.js'
import { foldersIn, TEMPORARY, walk } from './folder-walk.js'
import { checkPath, checkPrefix, joinPath } from './path.js'
import type {
  ByteRange,
  CreateOptions,
  Elsewhere,
  ListOptions,
  ObjectInfo,
  ObjectStore,
  PutOptions,
  StoreOptions,
} from './store.js'

/** What `link` answers on file systems that have no hard links. */
const NO_LINKS = new Set(['EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK'])

/** What `rmdir` answers for a folder that holds something. */
const IN_USE = new Set(['ENOTEMPTY', 'EEXIST', 'EBUSY'])

/**
 * A store in a folder of this machine.
 *
 * Bytes first go to a hidden file beside their target (`.tmp-…`) and to the disk; a link (which fails when the name is
 * taken) or a rename then shows them, and the folder is synced. So a name never stands for half an object, a creator
 * never replaces another's object, and what was acknowledged survives a power cut. A process that is killed may
 * leave a hidden file behind, which no method shows.
 */
export class LocalStore implements ObjectStore {
  readonly uri: string
  readonly elsewhere: Elsewhere | undefined
  readonly #folders: Folders
  readonly #random: Random
  readonly #root: string
  readonly #isChild: boolean

  /** The folder need not be there: the first write makes it. */
  constructor(
    root: string,
    options: { readonly random?: Random | undefined; readonly elsewhere?: Elsewhere | undefined } = {},
    parent?: LocalStore,
  ) {
    this.#root = resolve(root)
    this.#isChild = parent !== undefined
    this.elsewhere = parent ? parent.elsewhere : options.elsewhere
    this.#random = parent ? parent.#random : (options.random ?? systemRandom)
    this.#folders = parent ? parent.#folders : new Folders()
    this.uri = pathToFileURL(this.#root).href.replace(/(?<=[^/])\/$/, '')
  }

  async get(
    path: string,
    options: StoreOptions & { readonly range?: ByteRange | undefined } = {},
  ): Promise<Uint8Array | undefined> {
    return await this.#run(path, options, async (file) => {
      if (isNothing(file)) return undefined
      const handle = await open(file, 'r').catch(absentAsUndefined)
      try {
        const info = await handle?.stat()
        if (!handle || !info || info.isDirectory()) return undefined
        const { start, endExclusive } = clampRange(options.range, info.size)
        const bytes = new Uint8Array(endExclusive - start)
        let filled = 0
        while (filled < bytes.length) {
          const { bytesRead } = await handle.read(bytes, filled, bytes.length - filled, start + filled)
          options.signal?.throwIfAborted()
          if (bytesRead === 0) break
          filled += bytesRead
        }
        return bytes.subarray(0, filled)
      } finally {
        await handle?.close()
      }
    })
  }

  async head(path: string, options: StoreOptions = {}): Promise<ObjectInfo | undefined> {
    return await this.#run(path, options, async (file) => {
      const info = await stat(file).catch(absentAsUndefined)
      if (!info || info.isDirectory()) return undefined
      return { path, sizeBytes: info.size, modifiedAtMs: Math.trunc(info.mtimeMs) }
    })
  }

  async putIfAbsent(path: string, bytes: Uint8Array, options: CreateOptions = {}): Promise<'created' | 'exists'> {
    return await this.#run(path, options, async (file) => {
      const durable = options.durable !== false
      // It may fail before it is waited for.
      options.after?.catch(() => undefined)
      const fill = (temporary: string) => (durable ? writeDurably(temporary, bytes) : writeFile(temporary, bytes, { flag: 'wx' }))
      const staged = await this.#stage(file, fill, options)
      try {
        await options.after
        options.signal?.throwIfAborted()
        await link(staged, file)
      } catch (error) {
        await rm(staged, { force: true })
        if (errnoOf(error) === 'EEXIST' && !(await lstat(file)).isDirectory()) return 'exists'
        if (NO_LINKS.has(errnoOf(error) ?? '')) throw unsafe(this.uri, error)
        if (options.folderMustExist) throw folderGone(file, error)
        throw error
      }
      // The hidden name may outlive a crash; the other one has to.
      await Promise.all([unlink(staged), durable && syncFolder(dirname(file))])
      return 'created'
    })
  }

  async put(path: string, bytes: Uint8Array, options: PutOptions = {}): Promise<void> {
    await this.#run(path, options, async (file) => {
      await this.#show(await this.#stage(file, (temporary) => writeDurably(temporary, bytes), options), file, options)
    })
  }

  async putFile(path: string, localFile: string, options: PutOptions = {}): Promise<void> {
    await this.#run(path, options, async (file) => {
      localFileSize(localFile)
      const synced = sync(localFile)
      synced.catch(() => undefined)
      if (!options.folderMustExist) await this.#folders.ensure(dirname(file))
      await synced
      options.signal?.throwIfAborted()
      // Bytes that are on this disk already get their name at once; from another disk they come by way of a hidden file.
      if (await moved(localFile, file)) return syncFolder(dirname(file))
      await this.#show(await this.#stage(file, (temporary) => copyDurably(localFile, temporary), options), file, options)
    })
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncGenerator<ObjectInfo> {
    const folder = join(this.#root, checkPrefix(prefix))
    try {
      for await (const info of walk(folder, options.startAfter ?? '', options.signal, options.followLinks)) {
        yield { ...info, path: joinPath(prefix, info.path) }
      }
    } catch (error) {
      throw diskError(error, prefix)
    }
  }

  async listFolders(prefix: string, options: StoreOptions = {}): Promise<readonly string[]> {
    options.signal?.throwIfAborted()
    try {
      return await foldersIn(join(this.#root, checkPrefix(prefix)), options.signal)
    } catch (error) {
      throw diskError(error, prefix)
    }
  }

  async delete(paths: readonly string[], options: StoreOptions = {}): Promise<void> {
    for (const path of paths) this.localPath(path)
    options.signal?.throwIfAborted()
    for (const path of paths) {
      await this.#run(path, options, async (file) => {
        await unlink(file).catch(async (error: unknown) => {
          const isNoObject = await lstat(file).then((info) => info.isDirectory(), isAbsent)
          if (!isNoObject) throw error
        })
      })
    }
  }

  async removeEmptyFolders(paths: readonly string[], options: StoreOptions = {}): Promise<number> {
    let removed = 0
    for (const path of paths) {
      removed += await this.#run(path, options, async (folder) => {
        try {
          await rmdir(folder)
        } catch (error) {
          if (isAbsent(error) || IN_USE.has(errnoOf(error) ?? '')) return 0
          throw error
        }
        this.#folders.forget(folder)
        return 1
      })
    }
    return removed
  }

  async moveFolder(from: string, to: string, options: StoreOptions = {}): Promise<boolean> {
    const target = this.localPath(to)
    return await this.#run(from, options, async (folder) => {
      try {
        await rename(folder, target)
      } catch (error) {
        if (['ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return false
        throw error
      }
      this.#folders.forgetAll()
      for (const parent of new Set([dirname(target), dirname(folder)])) await syncFolder(parent)
      return true
    })
  }

  localPath(path: string): string {
    const hidden = checkPath(path)
      .split('/')
      .some((segment) => segment.startsWith(TEMPORARY))
    if (hidden) throw new DeltaError('ARGUMENT_INVALID', `names that begin with ${TEMPORARY} are the store's own`, { path })
    return join(this.#root, path)
  }

  child(prefix: string): LocalStore {
    return new LocalStore(join(this.#root, checkPrefix(prefix)), {}, this)
  }

  /** Hard links decide races on every disk; where there are none, `putIfAbsent` says so. */
  async ensureSafe(options: StoreOptions = {}): Promise<void> {
    options.signal?.throwIfAborted()
  }

  async close(): Promise<void> {
    if (!this.#isChild) await this.elsewhere?.close()
  }

  async #run<T>(path: string, options: StoreOptions, work: (file: string) => Promise<T>): Promise<T> {
    const file = this.localPath(path)
    options.signal?.throwIfAborted()
    try {
      return await work(file)
    } catch (error) {
      throw diskError(error, path)
    }
  }

  /** Fills a hidden file beside `file`. */
  async #stage(file: string, fill: (temporary: string) => Promise<void>, options: PutOptions): Promise<string> {
    const folder = dirname(file)
    const temporary = join(folder, `${TEMPORARY}${this.#random.uuid()}`)
    try {
      await this.#inFolder(folder, options, () => fill(temporary))
    } catch (error) {
      await rm(temporary, { force: true })
      throw error
    }
    return temporary
  }

  /** Runs `work` in a folder that is made first, or again when somebody has removed it meanwhile, unless it must be there. */
  async #inFolder(folder: string, options: PutOptions, work: () => Promise<void>): Promise<void> {
    if (options.folderMustExist)
      return work().catch((error: unknown) => {
        throw folderGone(folder, error)
      })
    const attempt = async () => {
      await this.#folders.ensure(folder)
      await work()
    }
    await attempt().catch(async (error: unknown) => {
      if (errnoOf(error) !== 'ENOENT') throw error
      this.#folders.forget(folder)
      await attempt()
    })
  }

  async #show(staged: string, file: string, options: PutOptions): Promise<void> {
    try {
      options.signal?.throwIfAborted()
      await rename(staged, file)
    } catch (error) {
      await rm(staged, { force: true })
      throw options.folderMustExist ? folderGone(file, error) : error
    }
    await syncFolder(dirname(file))
  }
}

/** Whether a file of this machine could be given another name: it cannot across disks, nor in a folder that is gone. */
async function moved(localFile: string, target: string): Promise<boolean> {
  try {
    await rename(localFile, target)
    return true
  } catch (error) {
    if (!['EXDEV', 'ENOENT'].includes(errnoOf(error) ?? '')) throw error
    return false
  }
}

async function copyDurably(localFile: string, target: string): Promise<void> {
  await copyFile(localFile, target)
  await sync(target)
}

/**
 * Asked at once: the kernel knows the names of a folder by heart, and to hand the question to another thread takes ten times as
 * long as the answer. Whoever follows a log asks for the next entry all the time, and seldom is there one.
 */
function isNothing(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) === undefined
  } catch {
    // Reading it says why.
    return false
  }
}

function absentAsUndefined(error: unknown): undefined {
  if (!isAbsent(error)) throw error
}

/** What a missing folder means to who needs it there; another error stays what it is. */
function folderGone(path: string, error: unknown): unknown {
  if (errnoOf(error) !== 'ENOENT') return error
  return new DeltaError('FILE_NOT_FOUND', 'the folder was moved or removed', { path }, { cause: error })
}

function unsafe(uri: string, cause: unknown): DeltaError {
  const hint = 'commits need a file system with hard links (ext4, xfs, apfs, ntfs); exFAT and some network shares have none'
  return new DeltaError(
    'STORE_UNSAFE',
    'this file system cannot create a file without replacing another',
    { uri },
    { hint, cause },
  )
}
