import type { DuckDBResult } from '@duckdb/node-api'
import { Utf8 } from 'apache-arrow'
import { appendChunk } from './arrow-column.js'
import { StringColumn } from './arrow-text.js'
import { dataChunks, type ReadingOptions } from './data-chunks.js'

/** A part of a text, and how many values it is made of. */
export interface TextPiece {
  readonly bytes: Uint8Array
  readonly rows: number
}

export interface TextPiecesOptions extends ReadingOptions {
  /** A piece is full at this many bytes; it may hold up to a data chunk (2,048 values) more. */
  readonly bytesPerPiece: number
}

/**
 * The values of the only column of `result`, a VARCHAR without NULL, one right behind the other, as UTF-8. Pieces own their
 * memory and are never empty of values.
 *
 * @throws as `dataChunks` does
 */
export async function* textPieces(result: DuckDBResult, options: TextPiecesOptions): AsyncGenerator<TextPiece, void, undefined> {
  const column = new StringColumn(new Utf8())
  let rows = 0
  const finish = () => {
    const piece = { bytes: column.finish().values as Uint8Array, rows }
    rows = 0
    return piece
  }
  for await (const chunk of dataChunks(result, options)) {
    rows += appendChunk(chunk, [column])
    if (column.bytes >= options.bytesPerPiece) yield finish()
  }
  if (rows > 0) yield finish()
}
