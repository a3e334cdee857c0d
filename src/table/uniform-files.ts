import { LRUCache } from 'lru-cache'
import { isDeltaError } from '../base/errors.js'
import type { Database } from '../engine/database.js'
import { physicalName } from '../protocol/column-mapping.js'
import { mentions } from '../protocol/schema.js'
import { isReaders, readerSql, type ScanFile, type ScanShape, scanGroups } from './scan-sql.js'

/** Reading many as they are means opening every footer whenever a query is planned. */
const FILES_MAX = 64
const ANSWERS_MAX = 1024

/** Knows which sets of files can be read as they are; see `ScanShape.uniform`. */
export class UniformFiles {
  private readonly answers = new LRUCache<string, boolean>({ max: ANSWERS_MAX })

  /**
   * Whether these files, those of each kind (`scanGroups`) together, have each stored column of `shape` under its name and type, and nothing that gets in the way.
   *
   * @param database one that may read the files.
   */
  async areUniform(database: Database, shape: ScanShape, files: readonly ScanFile[]): Promise<boolean> {
    if (files.length > FILES_MAX) return false
    const groups = await Promise.all(scanGroups(files).map((group) => this.isUniform(database, shape, group)))
    return groups.every(Boolean)
  }

  private async isUniform(database: Database, shape: ScanShape, files: readonly ScanFile[]): Promise<boolean> {
    const { mapping = 'none', partitionColumns } = shape
    const fields = shape.fields.filter(({ name }) => !partitionColumns.includes(name))
    if (mapping === 'id' || shape.rowIds || fields.length === 0) return false
    // Marked and unmarked variants within other values are told to be of one type, and then cannot be read as one.
    if (fields.some(({ type }) => mentions(type, 'variant'))) return false
    if (files.some(({ stored }) => stored !== undefined)) return false
    // Of a lone file the engine takes an extreme from the footer, and for the greatest of floating-point numbers the NaN that may be there.
    if (files.length === 1 && fields.some(({ type }) => mentions(type, 'double') || mentions(type, 'float'))) return false
    const typed = readerSql({ ...shape, fields }, files)
    const known = this.answers.get(typed)
    if (known !== undefined) return known
    const answer = await found()
    this.answers.set(typed, answer)
    return answer

    async function found(): Promise<boolean> {
      const asStored = readerSql({ ...shape, fields, uniform: true }, files)
      const [wanted, there] = await Promise.all([typed, asStored].map((reader) => typesIn(database, reader)))
      if (!wanted || !there || there.some(({ name }) => isReaders(name))) return false
      const types = new Map(there.map(({ name, type }) => [name, type]))
      return fields.every((f, at) => types.get(physicalName(f, mapping)) === wanted[at]?.type)
    }
  }
}

/** `undefined` where files cannot be read together, which a scan under a schema then says better. */
async function typesIn(database: Database, reader: string) {
  try {
    return await database.use((connection) => connection.describe(`FROM ${reader}`))
  } catch (error) {
    if (isDeltaError(error)) return undefined
    throw error
  }
}
