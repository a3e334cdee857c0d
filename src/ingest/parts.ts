import { isUtf8 } from 'node:buffer'
import { DeltaError } from '../base/errors.js'
import type { Connection } from '../engine/database.js'
import type { Spool } from '../engine/spool.js'
import type { InputField } from '../table/row-columns.js'
import type { SpooledBody } from './body.js'
import type { InputFormat } from './formats.js'
import { openInput, readerFor } from './input.js'
import { LineMeter } from './line-meter.js'
import { lines } from './readers.js'
import type { RegularLines } from './regular-lines.js'
import { type LineRange, RAW_CHARACTERS_MAX, type RejectedLine, type RowSources, type StagedRows, stageRows } from './staging.js'

/** A file in which the lines of several owners follow each other. */
export interface Part<Owner> {
  readonly path: string
  readonly format: InputFormat
  /** Where the lines are known, and not all regular. */
  readonly meter?: LineMeter | undefined
  /** How all of its lines are written. */
  readonly regular?: RegularLines | undefined
  readonly owners: readonly { readonly owner: Owner; readonly lines: LineRange }[]
  /** The same lines as a part for each owner, for when the whole cannot be read. */
  readonly apart?: (() => Promise<readonly Part<Owner>[]>) | undefined
}

export interface MergedBody<Owner> {
  /** The file that holds the body already. */
  readonly path?: string | undefined
  readonly format: InputFormat
  /** Where the lines are known, and not all regular. */
  readonly meter?: LineMeter | undefined
  /** How all of its lines are written. */
  readonly regular?: RegularLines | undefined
  readonly owners: readonly OwnedLines<Owner>[]
}

export interface OwnedLines<Owner> {
  readonly owner: Owner
  readonly lines: LineRange
  readonly chunks: readonly Uint8Array[]
}

interface OwnedBody<Owner> {
  readonly owner: Owner
  readonly body: SpooledBody
  readonly format: InputFormat
  /** What `plainText` makes of the body, where that is known. */
  readonly text?: PlainText | undefined
}

/** NDJSON whose lines end with a line feed and nothing else, the last one too, without a byte order mark. */
export interface PlainText {
  readonly chunks: readonly Uint8Array[]
  /** How its lines are written, all of them, and how many there are. */
  readonly regular?: { readonly lines: RegularLines; readonly count: number } | undefined
}

export const EVERY_LINE: LineRange = { start: 0, endExclusive: Number.MAX_SAFE_INTEGER }
const NEWLINE = Buffer.from('\n')
/** So little is cheaper to copy than to keep in two pieces. */
const SMALL_BYTES = 64 * 1024

/**
 * Puts small NDJSON bodies behind each other, so that many requests are read as one file. Others stand alone, and so does
 * one that is not UTF-8: the engine refuses it, and would refuse its neighbours with it. Pure.
 */
export function mergeBodies<Owner>(bodies: readonly OwnedBody<Owner>[]): MergedBody<Owner>[] {
  const merged: MergedBody<Owner>[] = []
  const texts: (PlainText & { readonly owner: Owner })[] = []
  for (const { owner, body, format, text = plainText(body, format) } of bodies) {
    if (text !== undefined) texts.push({ ...text, owner })
    else if (body.kind === 'file') merged.push({ path: body.path, format, owners: [{ owner, lines: EVERY_LINE, chunks: [] }] })
    else merged.push({ format, owners: [{ owner, lines: EVERY_LINE, chunks: body.chunks }] })
  }
  if (texts.length === 0) return merged
  const [first] = texts
  const regular = texts.every((text) => text.regular?.lines === first?.regular?.lines) ? first?.regular?.lines : undefined
  const meter = new LineMeter()
  const owners: OwnedLines<Owner>[] = []
  let before = 0
  for (const text of texts) {
    for (const chunk of regular ? [] : text.chunks) meter.add(chunk)
    const after = regular ? before + (text.regular?.count ?? 0) : meter.lines
    owners.push({ owner: text.owner, lines: { start: before + 1, endExclusive: after + 1 }, chunks: text.chunks })
    before = after
  }
  merged.push({ format: 'ndjson', ...(regular ? { regular } : { meter }), owners })
  return merged
}

/**
 * A small NDJSON body as it can go behind others. The engine takes a carriage return for the end of a line where it sees fit,
 * and then lines can no longer be told apart by their number; inside a line it is white space, as a tab is. Pure.
 *
 * @param like how its lines are probably written.
 * @returns `undefined` for a body of another kind, and for one that is not UTF-8.
 */
export function plainText(body: SpooledBody, format: InputFormat, like?: RegularLines): PlainText | undefined {
  if (body.kind === 'file' || format !== 'ndjson') return undefined
  const chunks = plainLines(body.chunks)
  const [only, ...others] = chunks ?? []
  if (!chunks || !like || !only || others.length > 0) return chunks && { chunks }
  const count = like.count(only)
  return { chunks, regular: count === undefined ? undefined : { lines: like, count } }
}

function plainLines(chunks: readonly Uint8Array[]): readonly Uint8Array[] | undefined {
  const [first] = chunks
  let text = chunks.length === 1 && first ? Buffer.from(first.buffer, first.byteOffset, first.byteLength) : Buffer.concat(chunks)
  if (!isUtf8(text)) return undefined
  while (text[0] === 0xef && text[1] === 0xbb && text[2] === 0xbf) text = text.subarray(3)
  if (text.includes(0x0d)) text = Buffer.from(text.toString('latin1').replaceAll('\r\n', '\n').replaceAll('\r', '\t'), 'latin1')
  if (text.length === 0) return []
  if (text.at(-1) === 0x0a) return [text]
  return text.length < SMALL_BYTES ? [Buffer.concat([text, NEWLINE])] : [text, NEWLINE]
}

/** What an owner's lines became. */
export interface OwnedRows<Owner> {
  readonly owner: Owner
  readonly rows: number
  /** Lines are counted from the owner's own first one. */
  readonly rejects: readonly RejectedLine[]
  /** A query of the owner's rows, but those at some places. */
  select(withoutPlaces?: readonly number[]): string
  /** The same with their places in a column of that name. */
  selectPlaced(placeColumn: string): string
  /** The lines, from the owner's first one, and their text where the input has lines, by the places of their rows. */
  linesAt(places: ReadonlySet<number>): Promise<ReadonlyMap<number, { readonly line: number; readonly text: string | undefined }>>
  /** Keeps the owner's rows out of what is written. */
  leaveOut(): void
}

/** Columns that rows have beside what their lines say. */
export interface OwnerSources<Owner> {
  readonly columns: readonly string[]
  valuesOf(owner: Owner): readonly string[]
}

export interface StagedParts<Owner> {
  readonly owned: readonly OwnedRows<Owner>[]
  /** Owners whose data could not be read at all. */
  readonly failed: readonly { readonly owner: Owner; readonly error: unknown }[]
  /** A query of all rows but those left out; `undefined` when there is none. */
  select(): string | undefined
  drop(): Promise<void>
}

/** Reads every part into the engine. A part that cannot be read fails its own owners alone. */
export async function stageParts<Owner>(
  session: Connection,
  spool: Spool,
  parts: readonly Part<Owner>[],
  fields: readonly InputField[],
  sources?: OwnerSources<Owner>,
): Promise<StagedParts<Owner>> {
  const owned: OwnedRows<Owner>[] = []
  const failed: { owner: Owner; error: unknown }[] = []
  const staged: { rows: StagedRows; without: LineRange[]; owners: number; sources: RowSources | undefined }[] = []
  const stage = async (part: Part<Owner>): Promise<void> => {
    const rows = await readPart(session, spool, part, fields)
    const from = part.owners.map(({ owner, lines }) => ({ start: lines.start, values: sources?.valuesOf(owner) ?? [] }))
    const entry = {
      rows,
      without: [] as LineRange[],
      owners: part.owners.length,
      sources: sources && { columns: sources.columns, from },
    }
    staged.push(entry)
    for (const { owner, lines } of part.owners) {
      const rejects = rows.rejects.filter(({ line }) => line >= lines.start && line < lines.endExclusive)
      owned.push({
        owner,
        rows: await rowsOf(session, rows, part, lines),
        rejects: rejects.map((reject) => ({
          ...reject,
          line: lines.start > 1 ? reject.line - lines.start + 1 : reject.line,
        })),
        select: (withoutPlaces) =>
          part.owners.length === 1 && !withoutPlaces
            ? rows.select([], entry.sources)
            : rows.selectRange(lines, entry.sources, withoutPlaces),
        selectPlaced: (placeColumn) => rows.selectPlaced(lines, placeColumn),
        linesAt: async (places) => {
          const found = await rows.linesAt(places)
          const texts = part.format === 'ndjson' ? await textsAt(session, part.path, places) : undefined
          const own = (line: number) => (lines.start > 1 ? line - lines.start + 1 : line)
          return new Map([...places].map((place) => [place, { line: own(found.get(place) ?? 0), text: texts?.get(place) }]))
        },
        leaveOut: () => void entry.without.push(lines),
      })
    }
  }
  for (const part of parts) {
    try {
      await stage(part)
    } catch (error) {
      const apart = part.owners.length > 1 ? await part.apart?.() : undefined
      if (!apart) failed.push(...part.owners.map(({ owner }) => ({ owner, error })))
      for (const alone of apart ?? [])
        await stage(alone).catch((own: unknown) => failed.push(...alone.owners.map(({ owner }) => ({ owner, error: own }))))
    }
  }
  return {
    owned,
    failed,
    select: () => {
      const kept = staged.filter(({ rows, without, owners }) => rows.lines > rows.rejects.length && without.length < owners)
      return kept.length === 0
        ? undefined
        : kept.map(({ rows, without, sources: own }) => rows.select(without, own)).join(' UNION ALL ')
    },
    drop: async () => {
      for (const { rows } of staged) await rows.drop()
    },
  }
}

/** The lines of a file at some places, from 0. */
async function textsAt(session: Connection, path: string, places: ReadonlySet<number>): Promise<ReadonlyMap<number, string>> {
  const found = await session.rows<{ place: bigint; text: string }>(
    `SELECT place, left(line, ${RAW_CHARACTERS_MAX}) AS text FROM (SELECT line, row_number() OVER () - 1 AS place FROM ${lines(path)}) WHERE place IN (${[...places].join(', ')})`,
  )
  return new Map(found.map(({ place, text }) => [Number(place), text]))
}

async function readPart<Owner>(session: Connection, spool: Spool, part: Part<Owner>, fields: readonly InputField[]) {
  const input = await openInput(session, spool, part.format, part.path)
  try {
    const rows = await stageRows(session, readerFor(input, fields), fields, input.format)
    const last = part.owners.at(-1)?.lines.endExclusive ?? 1
    if (part.owners.length > 1 && rows.places !== last - 1) {
      await rows.drop()
      throw new DeltaError('ROWS_INVALID', 'the lines of several requests cannot be told apart')
    }
    return rows
  } finally {
    await input.release()
  }
}

/** Where every line is a row, lines need no counting. */
async function rowsOf<Owner>(session: Connection, rows: StagedRows, part: Part<Owner>, lines: LineRange): Promise<number> {
  if (part.owners.length === 1) return rows.lines - rows.rejects.length
  const last = part.owners.at(-1)?.lines.endExclusive ?? 1
  if (rows.rejects.length === 0 && rows.lines === last - 1) return lines.endExclusive - lines.start
  const [found] = await session.rows<{ rows: bigint }>(`SELECT count(*) AS rows FROM (${rows.selectRange(lines)})`)
  return Number(found?.rows ?? 0)
}
