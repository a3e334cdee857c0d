/** What a file name under `_delta_log/` stands for. */
export type LogPath =
  | { readonly kind: 'commit'; readonly version: number }
  | { readonly kind: 'checksum'; readonly version: number }
  | { readonly kind: 'compacted'; readonly version: number; readonly endVersion: number }
  | { readonly kind: 'checkpoint'; readonly version: number }
  | { readonly kind: 'multipart-checkpoint'; readonly version: number; readonly part: number; readonly parts: number }
  | { readonly kind: 'uuid-checkpoint'; readonly version: number; readonly uuid: string; readonly format: 'json' | 'parquet' }

export const LOG_FOLDER = '_delta_log'
/** Where the file actions of v2 checkpoints may lie. */
export const SIDECAR_FOLDER = `${LOG_FOLDER}/_sidecars`
export const LAST_CHECKPOINT_PATH = `${LOG_FOLDER}/_last_checkpoint`

const SHAPES: readonly (readonly [RegExp, (match: RegExpExecArray) => LogPath | undefined])[] = [
  [/^(\d{20})\.json$/, (m) => ({ kind: 'commit', version: Number(m[1]) })],
  [/^(\d{20})\.crc$/, (m) => ({ kind: 'checksum', version: Number(m[1]) })],
  [/^(\d{20})\.checkpoint\.parquet$/, (m) => ({ kind: 'checkpoint', version: Number(m[1]) })],
  [
    /^(\d{20})\.(\d{20})\.compacted\.json$/,
    (m) => {
      const [version, endVersion] = [Number(m[1]), Number(m[2])]
      return version < endVersion && Number.isSafeInteger(endVersion) ? { kind: 'compacted', version, endVersion } : undefined
    },
  ],
  [
    /^(\d{20})\.checkpoint\.(\d{10})\.(\d{10})\.parquet$/,
    (m) => {
      const [part, parts] = [Number(m[2]), Number(m[3])]
      return part >= 1 && part <= parts ? { kind: 'multipart-checkpoint', version: Number(m[1]), part, parts } : undefined
    },
  ],
  [
    /^(\d{20})\.checkpoint\.([^.]+)\.(json|parquet)$/,
    (m) => ({ kind: 'uuid-checkpoint', version: Number(m[1]), uuid: m[2] ?? '', format: m[3] === 'json' ? 'json' : 'parquet' }),
  ],
]

/**
 * Reads a file name under `_delta_log/`.
 *
 * @returns `undefined` for a name this library does not know. Unknown names are legal: other writers may add files, so
 * callers skip them.
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#delta-log-entries
 */
export function parseLogPath(name: string): LogPath | undefined {
  for (const [shape, read] of SHAPES) {
    const match = shape.exec(name)
    const found = match ? read(match) : undefined
    if (found) return Number.isSafeInteger(found.version) ? found : undefined
  }
  return undefined
}

/** The inverse of `parseLogPath`. */
export function formatLogPath(path: LogPath): string {
  const version = digits(path.version, 20)
  switch (path.kind) {
    case 'commit':
      return `${version}.json`
    case 'checksum':
      return `${version}.crc`
    case 'checkpoint':
      return `${version}.checkpoint.parquet`
    case 'compacted':
      return `${version}.${digits(path.endVersion, 20)}.compacted.json`
    case 'multipart-checkpoint':
      return `${version}.checkpoint.${digits(path.part, 10)}.${digits(path.parts, 10)}.parquet`
    case 'uuid-checkpoint':
      return `${version}.checkpoint.${path.uuid}.${path.format}`
  }
}

/** Where the commit of `version` is, relative to the table. */
export function commitPath(version: number): string {
  return `${LOG_FOLDER}/${formatLogPath({ kind: 'commit', version })}`
}

/** Where a file of the log is, relative to the table. */
export function logFilePath(path: LogPath): string {
  return `${LOG_FOLDER}/${formatLogPath(path)}`
}

/** The name after which every log file of `version` and later comes in a listing. */
export function beforeVersion(version: number): string {
  return `${LOG_FOLDER}/${digits(version, 20)}`
}

function digits(value: number, width: number): string {
  return String(value).padStart(width, '0')
}
