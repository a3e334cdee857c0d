import { basename, dirname } from 'node:path/posix'

/** What log rotation puts behind a name: a number, a date, or the time in seconds; and the ending of what is compressed. */
const ROTATED =
  /^(.+?)[.-](?:\d{1,4}|\d{8}(?:-?\d{1,6})?|\d{4}-\d{2}-\d{2}(?:[-T_.]\d{2}(?:-?\d{2}){0,2})?|\d{10})(?:\.(?:gz|gzip|br|zst|zstd))?$/

/** The name that a rotated file had before; `undefined` for a name that is not of that kind. */
export function nameBeforeRotation(path: string): string | undefined {
  const name = ROTATED.exec(basename(path))?.[1]
  if (name === undefined) return undefined
  const folder = dirname(path)
  return folder === '.' ? name : `${folder}/${name}`
}
