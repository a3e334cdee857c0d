import type { Session } from '../engine/database.js'
import type { Spool } from '../engine/spool.js'
import type { StructField } from '../protocol/schema.js'
import type { SpooledBody } from './body.js'
import type { InputFormat } from './formats.js'
import { openInput, readerFor } from './input.js'
import { type LineRange, type RejectedLine, type StagedRows, stageRows } from './staging.js'

/** A file in which the lines of several owners follow each other. */
export interface Part<Owner> {
  readonly path: string
  readonly format: InputFormat
  readonly owners: readonly { readonly owner: Owner; readonly lines: LineRange }[]
}

export interface MergedBody<Owner> {
  /** The file that holds the body already. */
  readonly path?: string | undefined
  readonly chunks: readonly Uint8Array[]
  readonly format: InputFormat
  readonly owners: readonly { readonly owner: Owner; readonly lines: LineRange }[]
}

interface OwnedBody<Owner> {
  readonly owner: Owner
  readonly body: SpooledBody
  readonly format: InputFormat
}

const EVERY_LINE: LineRange = { start: 0, endExclusive: Number.MAX_SAFE_INTEGER }
const NEWLINE = Buffer.from('\n')

/** Puts small NDJSON bodies behind each other, so that many requests are read as one file. Others stand alone. Pure. */
export function mergeBodies<Owner>(bodies: readonly OwnedBody<Owner>[]): MergedBody<Owner>[] {
  const merged: MergedBody<Owner>[] = []
  const chunks: Uint8Array[] = []
  const owners: { owner: Owner; lines: LineRange }[] = []
  let line = 1
  for (const { owner, body, format } of bodies) {
    if (body.kind === 'file') merged.push({ path: body.path, chunks: [], format, owners: [{ owner, lines: EVERY_LINE }] })
    else if (format !== 'ndjson') merged.push({ chunks: body.chunks, format, owners: [{ owner, lines: EVERY_LINE }] })
    else {
      const start = line
      for (const chunk of body.chunks) {
        chunks.push(chunk)
        line += countNewlines(chunk)
      }
      const last = body.chunks.at(-1)
      if (last && last.at(-1) !== 0x0a) {
        chunks.push(NEWLINE)
        line++
      }
      owners.push({ owner, lines: { start, endExclusive: line } })
    }
  }
  if (owners.length > 0) merged.push({ chunks, format: 'ndjson', owners })
  return merged
}

/** What an owner's lines became. */
export interface OwnedRows<Owner> {
  readonly owner: Owner
  readonly rows: number
  /** Lines are counted from the owner's own first one. */
  readonly rejects: readonly RejectedLine[]
  /** Keeps the owner's rows out of what is written. */
  leaveOut(): void
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
  session: Session,
  spool: Spool,
  parts: readonly Part<Owner>[],
  fields: readonly StructField[],
): Promise<StagedParts<Owner>> {
  const owned: OwnedRows<Owner>[] = []
  const failed: { owner: Owner; error: unknown }[] = []
  const staged: { rows: StagedRows; without: LineRange[]; owners: number }[] = []
  for (const part of parts) {
    try {
      const input = await openInput(session, spool, part.format, part.path)
      try {
        const rows = await stageRows(session, readerFor(input, fields), fields, input.format)
        const entry = { rows, without: [] as LineRange[], owners: part.owners.length }
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
            leaveOut: () => void entry.without.push(lines),
          })
        }
      } finally {
        await input.release()
      }
    } catch (error) {
      for (const { owner } of part.owners) failed.push({ owner, error })
    }
  }
  return {
    owned,
    failed,
    select: () => {
      const kept = staged.filter(({ rows, without, owners }) => rows.lines > rows.rejects.length && without.length < owners)
      return kept.length === 0 ? undefined : kept.map(({ rows, without }) => rows.select(without)).join(' UNION ALL ')
    },
    drop: async () => {
      for (const { rows } of staged) await rows.drop()
    },
  }
}

/** Where every line is a row, lines need no counting. */
async function rowsOf<Owner>(session: Session, rows: StagedRows, part: Part<Owner>, lines: LineRange): Promise<number> {
  if (part.owners.length === 1) return rows.lines - rows.rejects.length
  const last = part.owners.at(-1)?.lines.endExclusive ?? 1
  if (rows.rejects.length === 0 && rows.lines === last - 1) return lines.endExclusive - lines.start
  const [found] = await session.rows<{ rows: bigint }>(`SELECT count(*) AS rows FROM (${rows.selectRange(lines)})`)
  return Number(found?.rows ?? 0)
}

function countNewlines(chunk: Uint8Array): number {
  let count = 0
  for (let at = chunk.indexOf(0x0a); at >= 0; at = chunk.indexOf(0x0a, at + 1)) count++
  return count
}
