import { statSync } from 'node:fs'
import { DeltaError, type ErrorCode } from '../base/errors.js'

const DENIED = new Set(['EACCES', 'EPERM', 'EROFS'])
const INVALID = new Set(['EEXIST', 'EISDIR', 'ELOOP', 'ENAMETOOLONG', 'ENOTDIR', 'ENOTEMPTY'])
const ABSENT = new Set(['ENOENT', 'ENOTDIR'])

const HINTS: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full: free some space and run it again',
  EDQUOT: 'the disk quota is used up: free some space and run it again',
  EMFILE: 'too many open files: raise the limit (ulimit -n)',
  EACCES: 'check the owner and the mode of the folder',
  EROFS: 'the file system is mounted read-only',
  EEXIST: 'the name is taken by a folder, or a folder of the path is a file',
  ENOTDIR: 'a folder of the path is a file',
  EISDIR: 'the name is taken by a folder',
  ENAMETOOLONG: 'shorten the name; most disks allow 255 bytes a segment',
}

/**
 * What an error of the file system means to a caller of the store: a full, failing or exhausted machine is
 * `STORE_UNAVAILABLE`, missing rights `STORE_DENIED`, a name that the disk cannot hold `ARGUMENT_INVALID`. Whatever
 * is not an error of the file system (a signal's reason, a `DeltaError`) comes back as it is.
 */
export function diskError(error: unknown, path: string): unknown {
  const reason = errnoOf(error)
  if (reason === undefined || error instanceof DeltaError) return error
  const [code, message] = meaningOf(reason)
  return new DeltaError(code, message, { path, reason }, { hint: HINTS[reason], cause: error })
}

/** Whether the error says that there is no such file. */
export function isAbsent(error: unknown): boolean {
  return ABSENT.has(errnoOf(error) ?? '')
}

/** The system's name of the error (`ENOSPC`), when it is one of the system's. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || !('syscall' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

/**
 * The size of a file of this machine that is about to be stored.
 *
 * @throws {DeltaError} `FILE_NOT_FOUND` when it is not there or is a folder.
 */
export function localFileSize(localFile: string): number {
  try {
    const info = statSync(localFile)
    if (info.isFile()) return info.size
  } catch (error) {
    if (!isAbsent(error)) throw diskError(error, localFile)
  }
  throw new DeltaError('FILE_NOT_FOUND', 'there is no such local file', { file: localFile })
}

function meaningOf(reason: string): readonly [ErrorCode, string] {
  if (DENIED.has(reason)) return ['STORE_DENIED', 'the disk refused access']
  if (INVALID.has(reason)) return ['ARGUMENT_INVALID', 'the disk cannot hold an object of this path']
  return ['STORE_UNAVAILABLE', 'the disk did not do it']
}
