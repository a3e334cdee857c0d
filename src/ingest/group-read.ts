import { DeltaError, isDeltaError } from '../base/errors.js'
import type { Connection } from '../engine/database.js'
import type { AddFile } from '../protocol/actions.js'
import type { IdentityMarks } from '../protocol/identity.js'
import type { TableDependencies } from '../table/delta-table.js'
import { type InputField, inputFields } from '../table/row-columns.js'
import type { Snapshot } from '../table/snapshot.js'
import { type StagedFiles, stageFiles } from '../table/stage.js'
import type { BatchId } from './batches.js'
import type { SpooledBody } from './body.js'
import { writeDirectly, writeRegular } from './direct.js'
import type { InputFormat } from './formats.js'
import { fieldsOf, openInput } from './input.js'
import {
  EVERY_LINE,
  type MergedBody,
  mergeBodies,
  type OwnedRows,
  type Part,
  type PlainText,
  plainText,
  stageParts,
} from './parts.js'
import { givenFields, provenanceOf } from './provenance.js'
import { RegularLines } from './regular-lines.js'
import { PLACE, ruleBreakers } from './rule-breakers.js'
import { RAW_CHARACTERS_MAX, type RejectedLine } from './staging.js'

/** Rows of one request, taken in whole. */
export interface IngestRequest {
  readonly body: SpooledBody
  readonly format: InputFormat
  readonly onError: 'fail' | 'reject'
  readonly batch: BatchId | undefined
  /** What people call where the rows come from, for lines that are rejected. */
  readonly source?: string | undefined
}

export interface IngestResult {
  /** The rows are durable, and visible from this version on. */
  readonly version: number
  readonly rows: number
  readonly rejected: number
  /** True when the batch had been there before: nothing was written. */
  readonly replayed: boolean
  /** The first 100. */
  readonly rejects: readonly RejectedLine[]
}

/** A request and who waits for it. */
export interface Waiting {
  readonly request: IngestRequest
  /** The body as it can go behind others, where it can. */
  readonly text?: PlainText | undefined
  resolve(result: IngestResult): void
  reject(error: unknown): void
}

/** A request of a group, with what became of its lines. */
export interface Accepted {
  readonly waiting: Waiting
  readonly rows: number
  readonly rejects: readonly RejectedLine[]
}

/** A group that has been read: its rows are files, durable after `stored`, and in no version yet. */
export interface Prepared {
  readonly snapshot: Snapshot
  /** How the lines of the group are written, where all of them are alike: the next ones probably are too. */
  readonly lines?: RegularLines | undefined
  readonly accepted: readonly Accepted[]
  readonly adds: readonly AddFile[]
  readonly identityMarks?: IdentityMarks | undefined
  /** Settles once the files are durable, or are not. */
  readonly stored?: Promise<unknown> | undefined
}

/** How many rejected lines an answer shows. */
export const REJECTS_SHOWN = 100

export interface ReadGroupOptions {
  /** How the lines are written that a table's columns like these take, as far as it is known. */
  readonly lines?: RegularLines | undefined
  /** Called when the engine has done its work, and the rows are on their way to the store. */
  readonly onRead?: (() => void) | undefined
}

/** Reads the requests of a group and writes their rows. One that cannot be read is rejected, and left out. */
export async function readGroup(
  deps: TableDependencies,
  connection: Connection,
  snapshot: Snapshot,
  fresh: readonly Waiting[],
  options: ReadGroupOptions = {},
): Promise<Prepared> {
  const files: string[] = []
  try {
    const provenance = provenanceOf(snapshot, deps.clock.now())
    const isTold = provenance.columns.length > 0
    const fields = givenFields(await inputFields(connection, snapshot.schema), provenance)
    const lines = linesLike(fresh, fields, options.lines)
    const bodies = fresh.map((waiting) => {
      const { body, format } = waiting.request
      const isLooked = waiting.text !== undefined && (!lines || waiting.text.regular?.lines === lines)
      return { owner: waiting, body, format, text: isLooked ? waiting.text : plainText(body, format, lines) }
    })
    const parts: Part<Waiting>[] = []
    for (const merged of mergeBodies(bodies)) parts.push(await spooled(deps, merged, files))
    const direct = isTold ? undefined : await readDirectly(deps, connection, snapshot, parts, options.onRead)
    if (direct) return { ...direct, lines }
    const sources = {
      columns: provenance.columns,
      valuesOf: ({ request }: Waiting) => provenance.valuesOf(request.batch),
    }
    const staged = await stageParts(connection, deps.spool, parts, fields, isTold ? sources : undefined)
    try {
      for (const { owner, error } of staged.failed) owner.reject(error)
      const taken: OwnedRows<Waiting>[] = []
      for (const owned of staged.owned) {
        if (owned.rejects.length > 0 && owned.owner.request.onError === 'fail') {
          owned.leaveOut()
          owned.owner.reject(rowsInvalid(owned.rejects))
        } else taken.push(owned)
      }
      return { snapshot, ...(await write(deps, connection, snapshot, taken, staged.select())) }
    } finally {
      await staged.drop()
    }
  } finally {
    for (const file of files) await deps.spool.remove(file)
  }
}

/** The common case: all bodies are one file of lines, and every line is a row. */
async function readDirectly(
  deps: TableDependencies,
  connection: Connection,
  snapshot: Snapshot,
  parts: readonly Part<Waiting>[],
  onRead: (() => void) | undefined,
): Promise<Prepared | undefined> {
  const [part] = parts
  if (!part || parts.length > 1) return undefined
  let written: StagedFiles | undefined
  if (part.regular) written = await writeRegular(deps, connection, part.path, part.regular, linesOf(part), snapshot, { onRead })
  else if (part.meter) {
    const input = await openInput(connection, deps.spool, part.format, part.path)
    written = await writeDirectly(deps, connection, input, part.meter, snapshot, { onRead })
  }
  if (!written) return undefined
  const accepted = part.owners.map(({ owner, lines: own }) => ({
    waiting: owner,
    rows: own.endExclusive - own.start,
    rejects: [],
  }))
  return { snapshot, accepted, adds: written.adds, identityMarks: written.identityMarks, stored: written.stored }
}

function linesOf(part: Part<Waiting>): number {
  return (part.owners.at(-1)?.lines.endExclusive ?? 1) - 1
}

/** How the lines of a group are written, going by the first of them. */
function linesLike(
  group: readonly Waiting[],
  fields: readonly InputField[],
  known: RegularLines | undefined,
): RegularLines | undefined {
  const [first] = group
  const [chunk] = first?.request.format === 'ndjson' && first.request.body.kind === 'bytes' ? first.request.body.chunks : []
  if (!chunk) return undefined
  const names = fieldsOf(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength))
  return known?.isFor(fields, names) ? known : RegularLines.of(fields, names)
}

/** Puts a body into a file, unless it is in one; the bodies that are merged in it can be read one by one too. */
async function spooled(deps: TableDependencies, merged: MergedBody<Waiting>, files: string[]): Promise<Part<Waiting>> {
  const { spool } = deps
  const { format, meter, regular, owners } = merged
  const fileOf = async (chunks: readonly Uint8Array[]) => {
    const path = regular ? await spool.lend(chunks) : await spool.take({ kind: 'bytes', chunks })
    files.push(path)
    return path
  }
  const apart = async () => {
    const parts: Part<Waiting>[] = []
    for (const { owner, chunks } of owners)
      parts.push({ path: await fileOf(chunks), format, owners: [{ owner, lines: EVERY_LINE }] })
    return parts
  }
  return { path: merged.path ?? (await fileOf(owners.flatMap(({ chunks }) => chunks))), format, meter, regular, owners, apart }
}

/** Writes the rows of all; when the table refuses them, those of each, so that one request's rows fail it alone. */
async function write(
  deps: TableDependencies,
  connection: Connection,
  snapshot: Snapshot,
  taken: readonly OwnedRows<Waiting>[],
  all: string | undefined,
) {
  const accepted = taken.map(({ owner, rows, rejects }) => ({ waiting: owner, rows, rejects }))
  if (all === undefined) return { accepted, adds: [] }
  try {
    const { adds, identityMarks } = await stageFiles(deps, connection, all, snapshot, { identityMarks: new Map() })
    return { accepted, adds, identityMarks }
  } catch (error) {
    const isFinal = taken.length === 1 && taken[0]?.owner.request.onError !== 'reject'
    if (isFinal || !isDeltaError(error, 'invalid')) throw error
  }
  const kept: Accepted[] = []
  const adds: AddFile[] = []
  let identityMarks: IdentityMarks = new Map()
  for (const owned of taken) {
    const stageQuery = async (query: string, rows: number) => {
      if (rows === 0) return
      const staged = await stageFiles(deps, connection, query, snapshot, { identityMarks })
      adds.push(...staged.adds)
      identityMarks = staged.identityMarks ?? identityMarks
    }
    const mayReject = owned.owner.request.onError === 'reject'
    try {
      const rest = mayReject ? await withoutBreakers(connection, snapshot, owned) : undefined
      const { rows, rejects } = rest ?? owned
      await stageQuery(rest?.query ?? owned.select(), rows)
      kept.push({ waiting: owned.owner, rows, rejects })
    } catch (error) {
      if (!isDeltaError(error, 'invalid')) throw error
      owned.owner.reject(error)
    }
  }
  return { accepted: kept, adds, identityMarks }
}

/** A request's rows but those that break a rule of the table; `undefined` when none does. */
async function withoutBreakers(connection: Connection, snapshot: Snapshot, owned: OwnedRows<Waiting>) {
  const placed = owned.selectPlaced(PLACE)
  const breakers = await ruleBreakers(connection, placed, snapshot)
  if (breakers.length === 0) return undefined
  const lines = await owned.linesAt(new Set(breakers.map(({ place }) => place)))
  const rejects = breakers.map(({ place, reason, row }) => ({
    line: lines.get(place)?.line ?? 0,
    reason,
    raw: (lines.get(place)?.text ?? row).slice(0, RAW_CHARACTERS_MAX),
  }))
  return {
    query: owned.select(breakers.map(({ place }) => place)),
    rows: owned.rows - breakers.length,
    rejects: [...owned.rejects, ...rejects].toSorted((a, b) => a.line - b.line),
  }
}

export function rowsInvalid(rejects: readonly RejectedLine[]): DeltaError {
  const [first] = rejects
  return new DeltaError(
    'ROWS_INVALID',
    `line ${first?.line}: ${first?.reason}`,
    { rejected: rejects.length, lines: rejects.slice(0, REJECTS_SHOWN) },
    { hint: 'mend the lines and send all of them again: nothing was taken; or choose to reject broken lines' },
  )
}
