import { DeltaError, isDeltaError } from '../base/errors.js'
import type { ObjectStore } from '../storage/store.js'
import { checkTableName } from './names.js'
import type { StreamSettings } from './stream.js'
import { kafkaAddress, recordColumns } from './stream-source.js'

/** A stream as it is kept beside the tables, so that it outlives the process that runs it. */
export interface StreamDefinition {
  readonly id: string
  /** `kafka://host:port/topic`. */
  readonly source: string
  readonly table: string
  /** Who runs it: every server of the lakehouse, which share its partitions, or whoever typed the command. */
  readonly runs: 'server' | 'command'
  readonly settings: StreamSettings
}

const FOLDER = '_deltaic/streams'

/** The streams of a lakehouse: one object each, `_deltaic/streams/<id>.json`. No table has a name like that. */
export class StreamRegistry {
  private readonly store: ObjectStore

  constructor(store: ObjectStore) {
    this.store = store
  }

  /**
   * Keeps a stream, in the place of one of the same name.
   *
   * @throws {DeltaError} `ARGUMENT_INVALID`, `NAME_INVALID`.
   */
  async put(definition: StreamDefinition): Promise<StreamDefinition> {
    const { id, source, table, settings } = definition
    checkId(id)
    checkTableName(table)
    kafkaAddress(source, settings.sasl)
    recordColumns(settings.with ?? [])
    await this.store.put(pathOf(id), Buffer.from(`${JSON.stringify(definition)}\n`))
    return definition
  }

  /** By name. */
  async list(): Promise<readonly StreamDefinition[]> {
    const found: StreamDefinition[] = []
    for await (const { path } of this.store.list(FOLDER)) {
      const bytes = await this.store.get(path)
      if (bytes && path.endsWith('.json')) found.push(parse(bytes, path))
    }
    return found.sort((a, b) => (a.id < b.id ? -1 : 1))
  }

  /** @throws {DeltaError} `STREAM_NOT_FOUND`. */
  async drop(id: string): Promise<void> {
    checkId(id)
    if (!(await this.store.head(pathOf(id)))) throw new DeltaError('STREAM_NOT_FOUND', 'there is no such stream', { stream: id })
    await this.store.delete([pathOf(id)])
  }
}

/** What a stream is called that is given no name. */
export function streamId(source: string, table: string): string {
  return `${table}.${kafkaAddress(source).topic}`
}

function pathOf(id: string): string {
  return `${FOLDER}/${encodeURIComponent(id)}.json`
}

function checkId(id: string): void {
  if (!/^[\p{L}\p{N}_][\p{L}\p{N}_.-]{0,199}$/u.test(id))
    throw new DeltaError(
      'ARGUMENT_INVALID',
      'not a name for a stream',
      { stream: id.slice(0, 200) },
      { hint: 'use letters, digits, _, - and dots' },
    )
}

function parse(bytes: Uint8Array, path: string): StreamDefinition {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8')) as StreamDefinition
  } catch (cause) {
    if (isDeltaError(cause)) throw cause
    throw new DeltaError('ARGUMENT_INVALID', 'the definition of a stream is no JSON', { file: path }, { cause })
  }
}
