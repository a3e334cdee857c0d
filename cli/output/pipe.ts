import type { Writable } from 'node:stream'

/** Whoever read our results has gone (`deltaic … | head`): no failure, and nothing more to do. */
export class PipeClosed extends Error {
  override readonly name = 'PipeClosed'
}

/** A stream of the process that is written at the pace of its reader. */
export interface Pipe {
  readonly isTerminal: boolean
  /** Whether colours are welcome: a terminal that has them, and no NO_COLOR. */
  readonly hasColors: boolean
  /** Resolves when the reader has taken it, or the system has. @throws {PipeClosed} */
  write(chunk: string | Uint8Array): Promise<void>
}

export function openPipe(stream: Writable & Partial<Pick<NodeJS.WriteStream, 'isTTY' | 'hasColors'>>): Pipe {
  // Each write reports its own failure; without a listener the same failure would end the process.
  stream.on('error', () => {})
  return {
    isTerminal: stream.isTTY === true,
    hasColors: stream.isTTY === true && stream.hasColors?.() === true,
    write: (chunk) =>
      new Promise((resolve, reject) => {
        stream.write(chunk, (error) => {
          if (error) reject(isGone(error) ? new PipeClosed() : error)
          else resolve()
        })
      }),
  }
}

function isGone(error: NodeJS.ErrnoException): boolean {
  return error.code === 'EPIPE' || error.code === 'ERR_STREAM_DESTROYED' || error.code === 'ECONNRESET'
}
