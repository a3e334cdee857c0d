import type { TableName } from './names.js'

/** What becomes of a table that is there, and of one that is not. */
export type CreateMode = 'create' | 'createOrReplace' | 'replace'

/** What CREATE TABLE and CREATE TABLE … CLONE begin with. */
export interface CreateHead {
  readonly table: TableName
  readonly mode: CreateMode
  readonly ifNotExists: boolean
}
