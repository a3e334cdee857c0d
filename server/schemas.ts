import { ANSWER_FORMATS, ANSWER_TYPES } from './formats.js'

type Schema = Readonly<Record<string, unknown>>

export const text = { type: 'string' } as const
export const whole = { type: 'integer', minimum: 0 } as const
export const truth = { type: 'boolean' } as const
const free = { type: 'object', additionalProperties: true } as const

/** An object with these properties; all are required but those whose names end in `?`. */
export function object(properties: Readonly<Record<string, Schema>>, description?: string): Schema {
  const entries = Object.entries(properties)
  return {
    type: 'object',
    ...(description ? { description } : {}),
    required: entries.map(([name]) => name).filter((name) => !name.endsWith('?')),
    properties: Object.fromEntries(entries.map(([name, schema]) => [name.replace(/\?$/, ''), schema])),
    additionalProperties: false,
  }
}

export function list(items: Schema): Schema {
  return { type: 'array', items }
}

export function mapOf(values: Schema): Schema {
  return { type: 'object', additionalProperties: values }
}

export const tableParams = object({ table: { ...text, minLength: 1, description: 'The name of a table.' } })

const scanStats = object({
  filesRead: whole,
  filesSkipped: whole,
  bytesRead: whole,
  bytesSkipped: whole,
  filesFromCache: whole,
  skippedBy: object({ partition: whole, generated: whole, statistics: whole, join: whole, answered: whole, limit: whole }),
})

const queryAnswer = object({
  columns: list(object({ name: text, type: text })),
  versions: { ...mapOf(whole), description: 'The version that was read of each table.' },
  rows: list(free),
  rowCount: whole,
  stats: scanStats,
  elapsedMs: { type: 'number' },
})

/** An answer to a query, in each of its media types. */
export const queryResponse = {
  description: 'The answer. Header `deltaic-versions` names the version that was read of each table.',
  content: Object.fromEntries(
    ANSWER_FORMATS.map((format) => [ANSWER_TYPES[format][0], { schema: format === 'json' ? queryAnswer : {} }]),
  ),
}

const mark = { ...text, description: 'ISO 8601.' } as const

/** A query that runs on its own. */
export const queryJob = object({
  id: text,
  state: { type: 'string', enum: ['queued', 'running', 'succeeded', 'failed', 'cancelled'] },
  statement: text,
  format: { type: 'string', enum: ANSWER_FORMATS },
  submittedAt: mark,
  'startedAt?': mark,
  'endedAt?': mark,
  progress: object({
    rows: { ...whole, description: 'That its operators have read.' },
    'rowsTotal?': { ...whole, description: 'That they will read; absent where it cannot be known.' },
    bytes: { ...whole, description: 'Of the answer, written so far.' },
  }),
  'versions?': mapOf(whole),
  'stats?': scanStats,
  'columns?': list(object({ name: text, type: text })),
  'rowCount?': whole,
  'result?': object({
    url: text,
    bytes: whole,
    parts: { ...whole, description: 'How many ?part= there are; in order they are the result.' },
    partBytes: whole,
  }),
  'problem?': { type: 'object', additionalProperties: true },
})

export const tableList = object({ tables: list(object({ name: text, uri: text })) })

export const tableDetail = object({
  name: text,
  uri: text,
  id: text,
  version: whole,
  'description?': text,
  columns: list(object({ name: text, type: text, nullable: truth, partition: truth, 'comment?': text })),
  partitionColumns: list(text),
  properties: mapOf(text),
  files: whole,
  bytes: whole,
  'rows?': { ...whole, description: 'Absent when a file has no statistics.' },
  minReaderVersion: whole,
  minWriterVersion: whole,
  features: list(text),
  'createdAtMs?': { ...whole, description: 'Milliseconds since 1970-01-01 UTC.' },
})

export const tableHistory = object({
  commits: list(
    object({
      version: whole,
      timestampMs: { ...whole, description: 'Milliseconds since 1970-01-01 UTC.' },
      operation: text,
      operationParameters: free,
      operationMetrics: free,
      'readVersion?': whole,
      'isBlindAppend?': truth,
      'engineInfo?': text,
      'userMetadata?': text,
    }),
  ),
})

export const tableFiles = object({
  version: whole,
  files: list(
    object({
      path: { ...text, description: 'As in the log: percent-encoded.' },
      sizeBytes: whole,
      'rows?': whole,
      partitionValues: { type: 'object', additionalProperties: { type: ['string', 'null'] } },
      modifiedAtMs: whole,
    }),
  ),
})

export const rowsAnswer = object({
  version: { ...whole, description: 'The rows are durable, and visible from this version on.' },
  rows: whole,
  rejected: whole,
  replayed: { ...truth, description: 'True when the rows had been there before: nothing was written.' },
  'rejects?': { ...list(object({ line: whole, reason: text, raw: text })), description: 'The first 100.' },
})

export const optimizeAnswer = object({
  version: whole,
  filesAdded: whole,
  filesRemoved: whole,
  bytesAdded: whole,
  bytesRemoved: whole,
  filesConflicted: whole,
  attempts: whole,
  elapsedMs: { type: 'number' },
})

export const restoreAnswer = object({
  version: whole,
  restoredVersion: { ...whole, description: 'The version that the table is like now.' },
  filesAdded: whole,
  filesRemoved: whole,
  bytesAdded: whole,
  bytesRemoved: whole,
  attempts: whole,
  elapsedMs: { type: 'number' },
})

const proof = object({
  'holds?': { ...truth, description: 'Absent where the files in which the rows came were vacuumed.' },
  rowsTaken: { ...whole, description: 'Rows that go, as the new version has it.' },
  hashTaken: { ...text, description: 'The sum of their hashes, in any order; 16 hexadecimal digits.' },
  'rowsWritten?': { ...whole, description: 'The same rows in the files in which they first came.' },
  'hashWritten?': text,
  'missing?': { ...text, description: 'A file in which rows came that was vacuumed.' },
  'table?': object({ rowsBefore: whole, hashBefore: text, rowsAfter: whole, hashAfter: text }),
})

export const undoAnswer = object({
  version: whole,
  dryRun: truth,
  versions: object({ from: whole, to: whole }),
  'rowsDeleted?': { ...whole, description: 'Of a dry run, the rows that would go.' },
  rowsRestored: { ...whole, description: 'Rows that came back, of an undo that was taken back.' },
  'rowsAdded?': { ...whole, description: 'What the commits added in all; absent where their files were vacuumed.' },
  'rowsGone?': { ...whole, description: 'Rows of those commits that were gone before.' },
  rowsChanged: { ...whole, description: 'Rows of those commits that later ones changed.' },
  changedBy: list(object({ version: whole, rows: whole, 'operation?': text })),
  examples: { ...list(text), description: 'Some of the changed rows, as JSON.' },
  files: list(object({ file: text, rows: whole, 'rowsLeft?': whole })),
  rowsUpdated: whole,
  filesAdded: whole,
  filesRemoved: whole,
  filesMarked: whole,
  bytesAdded: whole,
  attempts: whole,
  'proof?': proof,
  'viewChanges?': {
    ...list(
      object({
        view: text,
        rows: whole,
        examples: list(object({ before: { type: ['string', 'null'] }, after: { type: ['string', 'null'] } })),
      }),
    ),
    description: 'Of a dry run: how many rows of each view would change, with examples as JSON.',
  },
  'viewProofs?': {
    ...list(object({ view: text, 'holds?': truth, 'rows?': whole, 'rowsDiffering?': whole, 'problem?': text })),
    description:
      'Whether each view equals its definition afterwards; where `holds` is absent, `problem` says why, such as that it was not checked.',
  },
  elapsedMs: { type: 'number' },
})

export const vacuumAnswer = object({
  filesDeleted: { ...whole, description: 'Of a dry run, the files that would be.' },
  bytesDeleted: whole,
  foldersDeleted: whole,
  files: { ...list(text), description: 'The first 1,000, relative to the table.' },
  elapsedMs: { type: 'number' },
})

export const checkpointAnswer = object({ version: whole, actions: whole, bytes: whole, elapsedMs: { type: 'number' } })

export const problem = object({
  type: text,
  title: text,
  status: whole,
  code: { ...text, description: 'What happened; stable.' },
  kind: { ...text, description: 'What the caller can do; stable.' },
  message: text,
  'hint?': text,
  details: free,
})

/** What any route may answer instead. */
export const problems = {
  '4xx': { description: 'The request was refused.', content: { 'application/problem+json': { schema: problem } } },
  '5xx': { description: 'The server or its storage failed.', content: { 'application/problem+json': { schema: problem } } },
}
