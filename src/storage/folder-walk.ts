import type { Dirent } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isAbsent } from './disk-errors.js'
import { compareBytes, isPath, joinPath } from './path.js'
import type { ObjectInfo } from './store.js'

/** How the names of files in the making begin; they are no objects. */
export const TEMPORARY = '.tmp-'

/** How many files are asked for their size at a time. */
const STATS_AT_ONCE = 32

interface Entry {
  readonly name: string
  readonly isFolder: boolean
  readonly sizeBytes: number
  readonly modifiedAtMs: number
}

/**
 * The files below `folder` at every depth whose path, relative to it, is greater than `startAfter`; each folder in UTF-8
 * byte order of its names. A folder that is not there is empty, and what vanishes meanwhile is left out. Links are followed
 * unless `followLinks` is false, which leaves them out.
 */
export async function* walk(
  folder: string,
  startAfter: string,
  signal: AbortSignal | undefined,
  followLinks = true,
): AsyncGenerator<ObjectInfo> {
  signal?.throwIfAborted()
  const wanted = (await namesIn(folder)).filter(
    (entry) => mayFollow(entry.name, startAfter) && (followLinks || !entry.isSymbolicLink()),
  )
  for (let at = 0; at < wanted.length; at += STATS_AT_ONCE) {
    const group = await Promise.all(wanted.slice(at, at + STATS_AT_ONCE).map((entry) => look(folder, entry)))
    signal?.throwIfAborted()
    for (const entry of group) {
      if (entry === undefined) continue
      if (entry.isFolder) yield* walkBelow(folder, entry.name, startAfter, signal, followLinks)
      else if (compareBytes(entry.name, startAfter) > 0) yield infoOf(entry)
      signal?.throwIfAborted()
    }
  }
}

/** The names of the folders in `folder` that hold a file at any depth, sorted by UTF-8 bytes. */
export async function foldersIn(folder: string, signal: AbortSignal | undefined): Promise<string[]> {
  const names: string[] = []
  for (const entry of await namesIn(folder)) {
    if (!entry.isDirectory() && !entry.isSymbolicLink()) continue
    for await (const _file of walk(join(folder, entry.name), '', signal)) {
      names.push(entry.name)
      break
    }
  }
  return names
}

async function* walkBelow(
  folder: string,
  name: string,
  startAfter: string,
  signal: AbortSignal | undefined,
  followLinks: boolean,
): AsyncGenerator<ObjectInfo> {
  const below = startAfter.startsWith(`${name}/`) ? startAfter.slice(name.length + 1) : ''
  for await (const info of walk(join(folder, name), below, signal, followLinks))
    yield { ...info, path: joinPath(name, info.path) }
}

async function namesIn(folder: string): Promise<Dirent[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true })
    const visible = entries.filter(({ name }) => !name.startsWith(TEMPORARY) && isPath(name))
    return visible.toSorted((a, b) => compareBytes(a.name, b.name))
  } catch (error) {
    if (isAbsent(error)) return []
    throw error
  }
}

/** Whether `name`, or something in a folder of this name, may come after `startAfter`. */
function mayFollow(name: string, startAfter: string): boolean {
  return startAfter.startsWith(`${name}/`) || compareBytes(`${name}/`, startAfter) > 0
}

async function look(folder: string, entry: Dirent): Promise<Entry | undefined> {
  const { name } = entry
  if (entry.isDirectory()) return { name, isFolder: true, sizeBytes: 0, modifiedAtMs: 0 }
  if (!entry.isFile() && !entry.isSymbolicLink()) return undefined
  try {
    const found = await stat(join(folder, name))
    return { name, isFolder: found.isDirectory(), sizeBytes: found.size, modifiedAtMs: Math.trunc(found.mtimeMs) }
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw error
  }
}

function infoOf({ name, sizeBytes, modifiedAtMs }: Entry): ObjectInfo {
  return { path: name, sizeBytes, modifiedAtMs }
}
