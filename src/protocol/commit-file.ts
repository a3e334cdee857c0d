import { DeltaError } from '../base/errors.js'
import type {
  Action,
  AddCDCFile,
  AddFile,
  CommitInfo,
  DomainMetadata,
  Metadata,
  Protocol,
  RemoveFile,
  SetTransaction,
} from './actions.js'
import { type JsonText, jsonLines, jsonObjects } from './json-values.js'

/** One entry of the log, its lines sorted by kind. Inside an entry the order of lines means nothing. */
export interface Commit {
  readonly version: number
  readonly protocol: Protocol | undefined
  readonly metaData: Metadata | undefined
  readonly adds: readonly AddFile[]
  readonly removes: readonly RemoveFile[]
  /** Files of changed rows; where there are any, they tell all that the commit changed. */
  readonly cdc: readonly AddCDCFile[]
  readonly txns: readonly SetTransaction[]
  readonly domains: readonly DomainMetadata[]
  readonly commitInfo: CommitInfo | undefined
}

/**
 * Reads the bytes of `N.json`.
 *
 * Unknown action kinds and fields are passed over, as the protocol asks.
 *
 * @throws {DeltaError} `LOG_LINE_MALFORMED` with file and line for an empty text and one that is not JSON, for an action without the
 * fields that replay needs, and for two protocols, two metadata or two adds of one path in one commit.
 * `FEATURE_UNSUPPORTED` for row ids past 2^53.
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#delta-log-entries
 */
export function parseCommit(version: number, bytes: Uint8Array, file: string): Commit {
  const adds: AddFile[] = []
  const removes: RemoveFile[] = []
  const cdc: AddCDCFile[] = []
  const txns: SetTransaction[] = []
  const domains: DomainMetadata[] = []
  let protocol: Protocol | undefined
  let metaData: Metadata | undefined
  let commitInfo: CommitInfo | undefined
  const added = new Set<string>()

  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
  // No writer leaves one: even a commit that changes nothing tells of itself.
  if (text.trim() === '') throw failureAt(file, 1)('it is empty')
  for (const { action, line } of actionsOf(text, file)) {
    const fail = failureAt(file, line)
    if (action['protocol']) {
      if (protocol) throw fail('two protocol actions')
      protocol = checkProtocol(action['protocol'] as Protocol, fail)
    }
    if (action['metaData']) {
      if (metaData) throw fail('two metaData actions')
      metaData = checkMetadata(action['metaData'] as Metadata, fail)
    }
    if (action['add']) {
      const add = checkAdd(action['add'] as AddFile, fail)
      if (added.has(add.path)) throw fail(`two adds of ${add.path}`)
      added.add(add.path)
      adds.push(add)
    }
    if (action['remove']) removes.push(checkRemove(action['remove'] as RemoveFile, fail))
    if (action['cdc']) cdc.push(checkChangeFile(action['cdc'] as AddCDCFile, fail))
    if (action['txn']) txns.push(checkTxn(action['txn'] as SetTransaction, fail))
    if (action['domainMetadata']) domains.push(checkDomain(action['domainMetadata'] as DomainMetadata, fail))
    if (action['commitInfo']) commitInfo = action['commitInfo'] as CommitInfo
  }
  return { version, protocol, metaData, adds, removes, cdc, txns, domains, commitInfo }
}

/** The bytes of a log entry: one action a line, in the order given. */
export function formatCommit(actions: readonly Action[]): Uint8Array {
  return Buffer.from(actions.map((action) => `${JSON.stringify(action)}\n`).join(''))
}

const DAMAGED_HINT =
  'the table cannot be read past this entry; restore the file from a copy, or read an earlier version of the table'

type Fail = (why: string, cause?: unknown) => DeltaError

function failureAt(file: string, line: number): Fail {
  return (why, cause) =>
    new DeltaError('LOG_LINE_MALFORMED', `log entry is damaged: ${why}`, { file, line }, { cause, hint: DAMAGED_HINT })
}

interface ActionLine {
  readonly action: Readonly<Record<string, unknown>>
  readonly line: number
}

/** One action a line, as the protocol asks; a text that is not so is read again as some writers leave it. */
function actionsOf(text: string, file: string): ActionLine[] {
  const read = ({ text, line }: JsonText) => ({ action: parseLine(text, failureAt(file, line)), line })
  try {
    return jsonLines(text).map(read)
  } catch (damage) {
    try {
      return jsonObjects(text).map(read)
    } catch {
      throw damage
    }
  }
}

function parseLine(line: string, fail: Fail): Readonly<Record<string, unknown>> {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (cause) {
    throw fail('not JSON (truncated?)', cause)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw fail('not a JSON object')
  return value as Record<string, unknown>
}

function checkProtocol(value: Protocol, fail: Fail): Protocol {
  if (!Number.isInteger(value.minReaderVersion) || !Number.isInteger(value.minWriterVersion))
    throw fail('protocol without versions')
  for (const list of [value.readerFeatures ?? [], value.writerFeatures ?? []])
    if (!isTexts(list)) throw fail('protocol whose features are no list of names')
  return value
}

/** Some writers make a table first and give it columns in a later commit, as Spark allows. */
const NO_COLUMNS = '{"type":"struct","fields":[]}'

function checkMetadata(value: Metadata, fail: Fail): Metadata {
  // Some writers put a null where others leave a field out.
  const { schemaString = NO_COLUMNS } = value
  const [partitionColumns, properties] = [value.partitionColumns ?? [], value.configuration ?? {}]
  if (typeof schemaString !== 'string') throw fail('metaData whose schemaString is no text')
  if (!isTexts(partitionColumns)) throw fail('metaData whose partitionColumns are no list of names')
  if (typeof properties !== 'object' || Array.isArray(properties)) throw fail('metaData whose configuration is no object')
  // Nor do all of them write numbers and booleans as texts.
  const configuration = Object.fromEntries(
    Object.entries<unknown>(properties).flatMap(([key, one]) => (one === null ? [] : [[key, String(one)]])),
  )
  return { ...value, schemaString, partitionColumns, configuration }
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}

function checkAdd(value: AddFile, fail: Fail): AddFile {
  if (typeof value.path !== 'string' || value.path === '') throw fail('add without path')
  if (!Number.isSafeInteger(value.size) || value.size < 0) throw fail('add without size')
  checkRowIds(value)
  return { ...value, partitionValues: value.partitionValues ?? {} }
}

function checkRemove(value: RemoveFile, fail: Fail): RemoveFile {
  if (typeof value.path !== 'string' || value.path === '') throw fail('remove without path')
  checkRowIds(value)
  return { ...value, dataChange: value.dataChange ?? true }
}

function checkChangeFile(value: AddCDCFile, fail: Fail): AddCDCFile {
  if (typeof value.path !== 'string' || value.path === '') throw fail('cdc without path')
  return { ...value, partitionValues: value.partitionValues ?? {} }
}

/** A row id that JavaScript's numbers cannot hold would come out as another row's. */
function checkRowIds({ path, baseRowId, defaultRowCommitVersion }: AddFile | RemoveFile): void {
  for (const id of [baseRowId ?? 0, defaultRowCommitVersion ?? 0])
    if (!Number.isSafeInteger(id))
      throw new DeltaError('FEATURE_UNSUPPORTED', 'a row id is past 2^53', { file: path }, { hint: 'use another engine' })
}

function checkDomain(value: DomainMetadata, fail: Fail): DomainMetadata {
  if (typeof value.domain !== 'string') throw fail('domainMetadata without domain')
  return { ...value, configuration: value.configuration ?? '', removed: value.removed ?? false }
}

function checkTxn(value: SetTransaction, fail: Fail): SetTransaction {
  if (typeof value.appId !== 'string' || !Number.isSafeInteger(value.version)) throw fail('txn without appId or version')
  return value
}
