import { DeltaError } from '../base/errors.js'
import type { DeletionVectorDescriptor } from './actions.js'
import { decodeFilePath } from './file-path.js'
import { decodeZ85, encodeZ85 } from './z85.js'

/** The CRC-32 of zlib. */
export type Checksum = (bytes: Uint8Array) => number

/** Where the bytes of a vector are: in the log, or framed in a file at an offset. */
export type DeletionVectorLocation =
  | { readonly kind: 'inline'; readonly bytes: Uint8Array }
  | {
      readonly kind: 'file'
      /** Decoded: relative to the table, or an absolute path or URI. */
      readonly path: string
      /** Of the size that goes before the bytes. */
      readonly offset: number
    }

/** Files that hold vectors begin with it. */
export const VECTOR_FILE_VERSION = 1
/** What a frame adds to the bytes: their size before and their checksum behind them, four bytes each. */
export const FRAME_BYTES = 8

const UUID_DIGITS = 20
/** The first vector of a file lies behind the version byte. */
const FIRST_OFFSET = 1

/**
 * Finds the bytes of a vector. A writer may leave the offset of a file's first vector out; none lies at 0, where the version is.
 *
 * @throws {DeltaError} `DELETION_VECTOR_DAMAGED` for a descriptor that names no place.
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#deletion-vector-descriptor-schema
 */
export function locateDeletionVector(vector: DeletionVectorDescriptor): DeletionVectorLocation {
  const { storageType, pathOrInlineDv: text, sizeInBytes } = vector
  const offset = vector.offset || FIRST_OFFSET
  if (!Number.isSafeInteger(sizeInBytes) || sizeInBytes < 0 || offset < 0)
    throw damaged(text, 'its size or offset is no number of bytes')
  switch (storageType) {
    case 'u': {
      const uuid = decodeZ85(text.slice(-UUID_DIGITS))
      if (uuid?.length !== 16) throw damaged(text, 'its name holds no UUID')
      const prefix = text.slice(0, -UUID_DIGITS)
      return { kind: 'file', path: deletionVectorPath(prefix, uuidText(uuid)), offset }
    }
    case 'p':
      return { kind: 'file', path: decodeFilePath(text), offset }
    case 'i': {
      const bytes = decodeZ85(text)
      if (!bytes || bytes.length < sizeInBytes) throw damaged(text, 'its text does not hold as many bytes as it says')
      return { kind: 'inline', bytes: bytes.subarray(0, sizeInBytes) }
    }
    default:
      throw damaged(text, `its storage type is unknown: ${storageType}`)
  }
}

/** The path of a file of vectors, relative to the table. */
export function deletionVectorPath(prefix: string, uuid: string): string {
  return `${prefix === '' ? '' : `${prefix}/`}deletion_vector_${uuid}.bin`
}

/** A descriptor of a vector in the file `deletionVectorPath('', uuid)`. */
export function describeDeletionVector(
  uuid: string,
  offset: number,
  sizeInBytes: number,
  cardinality: number,
): DeletionVectorDescriptor {
  const bytes = Uint8Array.from(uuid.replaceAll('-', '').match(/../g) ?? [], (hex) => Number.parseInt(hex, 16))
  return { storageType: 'u', pathOrInlineDv: encodeZ85(bytes), offset, sizeInBytes, cardinality }
}

/** A descriptor that holds its vector itself. */
export function inlineDeletionVector(bytes: Uint8Array, cardinality: number): DeletionVectorDescriptor {
  const padded = new Uint8Array(Math.ceil(bytes.length / 4) * 4)
  padded.set(bytes)
  return { storageType: 'i', pathOrInlineDv: encodeZ85(padded), sizeInBytes: bytes.length, cardinality }
}

/**
 * The bytes of a vector out of its frame, which starts where `framed` does.
 *
 * @throws {DeltaError} `DELETION_VECTOR_DAMAGED`, naming `file`.
 */
export function unframe(framed: Uint8Array, vector: DeletionVectorDescriptor, file: string, checksum: Checksum): Uint8Array {
  const { sizeInBytes } = vector
  if (framed.length < sizeInBytes + FRAME_BYTES) throw damaged(file, 'it ends before the vector does')
  const view = new DataView(framed.buffer, framed.byteOffset, framed.byteLength)
  if (view.getInt32(0) !== sizeInBytes) throw damaged(file, 'the vector has another size than the log says')
  const bytes = framed.subarray(4, 4 + sizeInBytes)
  if (view.getUint32(4 + sizeInBytes) !== checksum(bytes)) throw damaged(file, 'the checksum of the vector is wrong')
  return bytes
}

/** The frame of a vector's bytes, as files of vectors hold it. */
export function frame(bytes: Uint8Array, checksum: Checksum): Uint8Array {
  const framed = new Uint8Array(bytes.length + FRAME_BYTES)
  const view = new DataView(framed.buffer)
  view.setInt32(0, bytes.length)
  framed.set(bytes, 4)
  view.setUint32(4 + bytes.length, checksum(bytes))
  return framed
}

export function damaged(file: string, reason: string, cause?: unknown): DeltaError {
  return new DeltaError(
    'DELETION_VECTOR_DAMAGED',
    'a deletion vector of the table is damaged',
    { file, reason },
    { cause, hint: 'restore its file from a copy; versions of the table without this vector are not affected' },
  )
}

function uuidText(bytes: Uint8Array): string {
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}
