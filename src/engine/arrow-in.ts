import { rm, writeFile } from 'node:fs/promises'
import { isArrowRecordBatch, isArrowTable, type RecordBatch, RecordBatchReader, type Table } from 'apache-arrow'
import { assert, DeltaError } from '../base/errors.js'
import { type BatchFrame, frames, type SchemaFrame } from './arrow-frames.js'
import { ipcStream } from './arrow-out.js'
import { parquetOf } from './arrow-parquet.js'
import { parquetUnits, type Units } from './arrow-units.js'

/** Arrow rows: bytes of an IPC stream or file, whole or in chunks cut anywhere, or objects of apache-arrow. */
export type ArrowInput = Uint8Array | AsyncIterable<Uint8Array> | Table | RecordBatch | RecordBatchReader

export interface ArrowFiles {
  readonly rows: number
  /** At least one, in the order of the rows, all of one schema. */
  readonly files: readonly string[]
}

/**
 * Writes Arrow rows to Parquet files that stand beside `file`: for `in.parquet` they are `in-0.parquet`, `in-1.parquet` and so on.
 * Files of these names are overwritten. No rows make one file, which has the schema.
 *
 * A file holds about 8 MiB of Arrow data, which is what is held in memory, a few times over, however long the input is. The files
 * are made to be read once and soon: uncompressed, without statistics. All is written or nothing: on failure no file is left.
 *
 * Dictionaries are resolved. Times in seconds become milliseconds, dates in milliseconds become days.
 *
 * @throws {DeltaError} `ROWS_INVALID` for malformed input, which includes bytes without the end-of-stream marker: an input that was
 * cut short is refused. A `RecordBatchReader` hides how its bytes ended and is believed. `TYPE_UNSUPPORTED` for a column of
 * durations, unions, 256-bit decimals or intervals of nanoseconds; `MEMORY_LIMIT` for one batch of more than 256 MiB
 * @throws the reason of `signal` when it is aborted
 */
export async function arrowToParquet(
  input: ArrowInput,
  file: string,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<ArrowFiles> {
  const { signal } = options
  signal?.throwIfAborted()
  const files: string[] = []
  let rows = 0
  try {
    for await (const group of groups(frames(bytesOf(input), signal))) {
      const parquet = write(group)
      const path = numbered(file, files.length)
      files.push(path)
      await writeFile(path, parquet, { signal: signal ?? undefined })
      rows += group.rows
    }
  } catch (error) {
    await Promise.all(files.map((path) => rm(path, { force: true })))
    signal?.throwIfAborted()
    throw error
  }
  return { rows, files }
}

/** A part of a stream that stands alone: the schema, the dictionaries so far, and some batches. */
interface Group {
  readonly schema: SchemaFrame
  /** Dictionaries that were in force when the first batch came. */
  readonly dictionaries: readonly BatchFrame[]
  /** Batches, and dictionaries that came between them. */
  readonly frames: readonly BatchFrame[]
  readonly rows: number
  /** How many batches came before this part. */
  readonly batchesBefore: number
}

async function* groups(stream: ReturnType<typeof frames>): AsyncGenerator<Group> {
  let units: Units | undefined
  const current = new Map<number, BatchFrame[]>()
  let group = emptyGroup([], 0)
  for await (const frame of stream) {
    if (frame.kind === 'schema') {
      units = parquetUnits(frame)
      continue
    }
    assert(units, 'frames() begins with the schema')
    const converted = units.convert(frame)
    if (frame.kind === 'dictionary') keepDictionary(current, converted)
    group.frames.push(converted)
    group.rows += frame.rows
    group.bytes += frame.pieces[2].length
    group.batches += frame.kind === 'batch' ? 1 : 0
    if (group.bytes < GROUP_BYTES || frame.kind === 'dictionary') continue
    yield { schema: units.schema, ...group }
    group = emptyGroup([...current.values()].flat(), group.batchesBefore + group.batches)
  }
  assert(units, 'frames() gives a schema, or throws')
  if (group.batches > 0 || group.batchesBefore === 0) yield { schema: units.schema, ...group }
}

function emptyGroup(dictionaries: readonly BatchFrame[], batchesBefore: number) {
  return { dictionaries, frames: [] as BatchFrame[], rows: 0, bytes: 0, batches: 0, batchesBefore }
}

/** A dictionary replaces the one of the same id, unless it says that it adds to it. */
function keepDictionary(current: Map<number, BatchFrame[]>, frame: BatchFrame): void {
  const { id, isDelta } = frame.message.header() as unknown as { id: number; isDelta: boolean }
  const before = isDelta ? (current.get(id) ?? []) : []
  current.set(id, [...before, frame])
}

/** A group, as the IPC stream it stands for, as Parquet. */
function parquetOfGroup({
  schema,
  dictionaries,
  frames: batches,
}: Pick<Group, 'schema' | 'dictionaries' | 'frames'>): Uint8Array {
  const all = [...dictionaries, ...batches]
  const ipc = Buffer.concat([schema, ...all].flatMap(({ pieces }) => [...pieces]).concat(END_OF_STREAM))
  return parquetOf(
    ipc,
    all.some(({ kind }) => kind === 'dictionary'),
  )
}

function bytesOf(input: ArrowInput): AsyncIterable<Uint8Array> | Iterable<Uint8Array> {
  if (input instanceof Uint8Array) return [input]
  if (isArrowTable(input)) return ipcStream(input.schema, input.batches)
  if (isArrowRecordBatch(input)) return ipcStream(input.schema, [input])
  if (input instanceof RecordBatchReader) return bytesOfReader(input)
  return input
}

async function* bytesOfReader(reader: RecordBatchReader): AsyncGenerator<Uint8Array> {
  try {
    await reader.open()
    yield* ipcStream(reader.schema, reader as AsyncIterable<RecordBatch>)
  } catch (error) {
    throw new DeltaError('ROWS_INVALID', 'an Arrow reader failed', {}, { cause: error })
  }
}

function write(group: Group): Uint8Array {
  try {
    return parquetOfGroup(group)
  } catch (error) {
    throw new DeltaError(
      'ROWS_INVALID',
      'an Arrow batch cannot be read',
      { batchesBefore: batchesBeforeFailure(group) },
      { cause: error },
    )
  }
}

/** Finds the batch that spoils a group, by converting one after the other. */
function batchesBeforeFailure(group: Group): number {
  let batchesBefore = group.batchesBefore
  const dictionaries = [...group.dictionaries]
  for (const frame of group.frames) {
    if (frame.kind === 'dictionary') {
      dictionaries.push(frame)
      continue
    }
    try {
      parquetOfGroup({ schema: group.schema, dictionaries, frames: [frame] })
    } catch {
      return batchesBefore
    }
    batchesBefore++
  }
  return batchesBefore
}

function numbered(file: string, number: number): string {
  const dot = file.endsWith('.parquet') ? file.length - '.parquet'.length : file.length
  return `${file.slice(0, dot)}-${number}${file.slice(dot)}`
}

const GROUP_BYTES = 8 * 2 ** 20
const END_OF_STREAM = new Uint8Array(Int32Array.of(-1, 0).buffer)
