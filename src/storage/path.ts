import { DeltaError } from '../base/errors.js'

/**
 * Gives the path back when it stays below the root.
 *
 * @throws {DeltaError} `ARGUMENT_INVALID` for an absolute path, an empty, `.` or `..` segment, a NUL or a backslash.
 */
export function checkPath(path: string): string {
  if (!isPath(path)) throw new DeltaError('ARGUMENT_INVALID', 'path leaves the store', { path })
  return path
}

/** As `checkPath`, for a folder: the root (`''`) is one too. */
export function checkPrefix(prefix: string): string {
  return prefix === '' ? prefix : checkPath(prefix)
}

/** Whether a store can hold an object of this path. Listings leave out what other tools have stored under other names. */
export function isPath(path: string): boolean {
  const bad = path.split('/').some((segment) => segment === '' || segment === '.' || segment === '..')
  return !bad && !path.includes('\0') && !path.includes('\\')
}

/** Joins the folder `prefix` (may be empty) and a path below it. */
export function joinPath(prefix: string, path: string): string {
  if (prefix === '') return path
  return path === '' ? prefix : `${prefix}/${path}`
}

/**
 * Orders as stores do: by UTF-8 bytes. JavaScript's `<` orders UTF-16 units, which differs past U+FFFF: there a unit is a
 * surrogate, and it sorts after every other.
 */
export function compareBytes(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let at = 0; at < length; at++) {
    const left = a.charCodeAt(at)
    const right = b.charCodeAt(at)
    if (left === right) continue
    if (isSurrogate(left) === isSurrogate(right)) return left - right
    return isSurrogate(left) ? 1 : -1
  }
  return a.length - b.length
}

function isSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdfff
}
