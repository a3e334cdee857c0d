import type { ListObjectsV2CommandInput } from '@aws-sdk/client-s3'
import { compareBytes, isPath, joinPath } from './path.js'
import { endpointOf } from './s3-client.js'
import type { S3Session } from './s3-session.js'
import type { ObjectInfo, StoreOptions } from './store.js'

/** How many folders are asked at a time whether they hold anything. */
const FOLDERS_AT_ONCE = 8

/** Who lists, and how requests are counted. */
export interface Lister {
  readonly session: S3Session
  readonly count: (times: number) => void
}

type Query = Omit<ListObjectsV2CommandInput, 'Bucket' | 'ContinuationToken'>

/** The objects whose keys begin with `folder` (empty, or with a slash at its end); to the caller it is `prefix`. */
export async function* listObjects(
  lister: Lister,
  folder: string,
  prefix: string,
  { startAfter = '', signal }: StoreOptions & { readonly startAfter?: string | undefined },
): AsyncGenerator<ObjectInfo> {
  const before = wellBefore(startAfter)
  const query = { Prefix: folder, ...(before === '' ? {} : { StartAfter: folder + before }) }
  for await (const page of pages(lister, query, prefix, signal)) {
    for (const { Key = '', Size = 0, LastModified } of page.Contents ?? []) {
      signal?.throwIfAborted()
      const below = Key.slice(folder.length)
      if (!isPath(below) || compareBytes(below, startAfter) <= 0) continue
      yield { path: joinPath(prefix, below), sizeBytes: Size, modifiedAtMs: LastModified?.getTime() ?? 0 }
    }
  }
  signal?.throwIfAborted()
}

/** The names of the folders directly below `folder` that hold an object, sorted. */
export async function listFolderNames(
  lister: Lister,
  folder: string,
  prefix: string,
  signal: AbortSignal | undefined,
): Promise<readonly string[]> {
  const found: string[] = []
  for await (const page of pages(lister, { Prefix: folder, Delimiter: '/' }, prefix, signal)) {
    for (const { Prefix = '' } of page.CommonPrefixes ?? []) found.push(Prefix.slice(folder.length, -1))
  }
  const names = found.filter(isPath).toSorted(compareBytes)
  // S3 itself has no folders. Servers that keep real ones go on listing those whose last object is gone.
  if (endpointOf(lister.session.settings) === undefined) return names
  const filled: string[] = []
  for (let at = 0; at < names.length; at += FOLDERS_AT_ONCE) {
    const group = names.slice(at, at + FOLDERS_AT_ONCE)
    const answers = await Promise.all(group.map(async (name) => await holdsObject(lister, `${folder}${name}/`, prefix, signal)))
    filled.push(...group.filter((_name, index) => answers[index]))
  }
  return filled
}

async function holdsObject(lister: Lister, folder: string, prefix: string, signal: AbortSignal | undefined): Promise<boolean> {
  for await (const page of pages(lister, { Prefix: folder, MaxKeys: 2 }, prefix, signal)) {
    if (page.Contents?.some(({ Key = '' }) => isPath(Key.slice(folder.length)))) return true
  }
  return false
}

async function* pages({ session, count }: Lister, query: Query, path: string, signal: AbortSignal | undefined) {
  let token: string | undefined
  do {
    const request = { Bucket: session.bucket, ...query, ...(token === undefined ? {} : { ContinuationToken: token }) }
    const page = await session.send(count, { path }, signal, ({ repeating }, http) => repeating.listObjectsV2(request, http))
    yield page
    token = page.IsTruncated ? page.NextContinuationToken : undefined
  } while (token !== undefined)
}

/**
 * A name from which every server lists all that is greater than `startAfter`, and a little more.
 *
 * Servers that order by folder put `a/x` right behind the name `a`, before `a b`, and leave out the folder `a` when asked to
 * start after `a` or `a b`. The two orders agree on names without a character up to the slash, one character short.
 */
export function wellBefore(startAfter: string): string {
  const upToSlash = /[\0-/]/.exec(startAfter)
  return [...startAfter.slice(0, upToSlash?.index)].slice(0, -1).join('')
}
