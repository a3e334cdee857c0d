import { fileURLToPath } from 'node:url'
import type { Clock } from '../base/clock.js'
import { DeltaError } from '../base/errors.js'
import type { Random } from '../base/random.js'
import { OtherStores } from './elsewhere.js'
import { LocalStore } from './local.js'
import { MemoryStore } from './memory.js'
import { S3Store } from './s3.js'
import type { S3Settings } from './s3-client.js'
import type { Elsewhere, ObjectStore } from './store.js'

export type { S3Settings } from './s3-client.js'

export interface OpenStoreOptions {
  readonly s3?: S3Settings | undefined
  readonly clock?: Clock | undefined
  readonly random?: Random | undefined
}

interface Reaching extends OpenStoreOptions {
  readonly elsewhere: Elsewhere
}

/** The stores in memory of this process; one name is one store for as long as the process lives. */
const memories = new Map<string, MemoryStore>()

/**
 * Opens the store that a URI names: `s3://bucket/prefix` (or `s3a:`), `file:///folder`, `memory:name/prefix`; whatever has no
 * scheme is a folder, relative to the working directory. Nothing is asked of the store yet. The store's own `uri`
 * opens it again.
 *
 * @throws {DeltaError} `ARGUMENT_INVALID` for another scheme, or a URI that names no bucket or store
 */
export function openStore(uriOrPath: string, options: OpenStoreOptions = {}): ObjectStore {
  const reaching = { ...options, elsewhere: new OtherStores((uri) => openStore(uri, options)) }
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]+):/.exec(uriOrPath)?.[1]?.toLowerCase()
  switch (scheme) {
    case 's3':
    case 's3a':
      return openS3(uriOrPath, reaching)
    case 'file':
      return new LocalStore(folderOf(uriOrPath), reaching)
    case 'memory':
      return openMemory(uriOrPath, reaching)
    case undefined:
      return new LocalStore(notEmpty(uriOrPath), reaching)
    default:
      throw invalid(uriOrPath, {
        hint: 'stores are s3://bucket/prefix, file:///folder, memory:name, or a path',
        cause: undefined,
      })
  }
}

function openS3(uri: string, options: Reaching): S3Store {
  const [, bucket, prefix = ''] = /^s3a?:\/\/([^/]+)(?:\/(.*?))?\/*$/is.exec(uri) ?? []
  if (bucket === undefined) throw invalid(uri, { hint: 'write s3://bucket/prefix' })
  return new S3Store({ ...options.s3, bucket, prefix }, options)
}

function openMemory(uri: string, options: Reaching): MemoryStore {
  const [, name, prefix = ''] = /^memory:(?:\/\/)?([^/]+)(?:\/(.*?))?\/*$/is.exec(uri) ?? []
  if (name === undefined) throw invalid(uri, { hint: 'write memory:name' })
  const store = memories.get(name) ?? new MemoryStore({ name, clock: options.clock, elsewhere: options.elsewhere })
  memories.set(name, store)
  return prefix === '' ? store : store.child(prefix)
}

function folderOf(uri: string): string {
  try {
    return fileURLToPath(uri)
  } catch (cause) {
    throw invalid(uri, { hint: 'write file:///folder', cause })
  }
}

function notEmpty(path: string): string {
  if (path === '' || path.includes('\0')) throw invalid(path, { hint: 'write the path of a folder' })
  return path
}

function invalid(uri: string, options: { readonly hint: string; readonly cause?: unknown }): DeltaError {
  return new DeltaError('ARGUMENT_INVALID', 'this names no store', { uri: withoutCredentials(uri) }, options)
}

/** URIs are sometimes written with a user and a password. */
function withoutCredentials(uri: string): string {
  return uri.replace(/\/\/[^/@]*@/, '//')
}
