import { stat } from 'node:fs/promises'
import { DeltaError } from '../base/errors.js'
import type { SqlOptions } from './options.js'

const LOOK_EVERY_MS = 50

/** What an answer may come to. */
export class AnswerLimits {
  private readonly rowsMax: number | undefined
  private readonly bytesMax: number | undefined
  private bytes = 0

  constructor({ rowsMax, bytesMax }: Pick<SqlOptions, 'rowsMax' | 'bytesMax'>) {
    this.rowsMax = rowsMax
    this.bytesMax = bytesMax
  }

  /** @throws {DeltaError} `ANSWER_TOO_LARGE` */
  checkRows(rows: number): void {
    const { rowsMax } = this
    if (rowsMax !== undefined && rows > rowsMax) throw tooLarge('the answer has more rows than it may', { rowsMax })
  }

  /** Adds to the bytes of the answer. @throws {DeltaError} `ANSWER_TOO_LARGE` */
  checkBytes(more: number): void {
    const { bytesMax } = this
    this.bytes += more
    if (bytesMax !== undefined && this.bytes > bytesMax) throw tooLarge('the answer is longer than it may be', { bytesMax })
  }

  /**
   * Watches the file that `write` fills, and aborts it once the file is too long: it may be longer by what is written in 50 ms.
   *
   * @throws {DeltaError} `ANSWER_TOO_LARGE`
   */
  async whileWriting<T>(
    file: string,
    signal: AbortSignal | undefined,
    write: (signal: AbortSignal | undefined) => Promise<T>,
  ): Promise<T> {
    const { bytesMax } = this
    if (bytesMax === undefined) return await write(signal)
    const full = new AbortController()
    const look = async () => {
      const { size } = await stat(file).catch(() => ({ size: 0 }))
      if (size > bytesMax) full.abort(tooLarge('the answer takes more room on disk than it may', { bytesMax }))
    }
    const timer = setInterval(() => void look(), LOOK_EVERY_MS)
    try {
      const written = await write(signal ? AbortSignal.any([signal, full.signal]) : full.signal)
      await look()
      full.signal.throwIfAborted()
      return written
    } finally {
      clearInterval(timer)
    }
  }
}

function tooLarge(message: string, details: Readonly<Record<string, number>>): DeltaError {
  const hint = 'ask for less (a filter, a LIMIT, fewer columns), or raise the limit'
  return new DeltaError('ANSWER_TOO_LARGE', message, details, { hint })
}
