import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Database } from '../../src/engine/database.js'
import { PLANNER_DISABLED_OPTIMIZERS, Planner, type TableRequest } from '../../src/sql/planner.js'
import { readQuery } from '../../src/sql/query-text.js'
import { MemoryStore } from '../../src/storage/memory.js'
import type { Snapshot } from '../../src/table/snapshot.js'
import { createTable, openWorld } from '../support/world.js'

const world = await openWorld()
let binder: Database
let snapshot: Snapshot

beforeAll(async () => {
  binder = await Database.open({
    threads: 1,
    memoryLimitBytes: 2 ** 28,
    disabledOptimizers: PLANNER_DISABLED_OPTIMIZERS,
    sandboxFolders: [],
  })
  const table = world.table(new MemoryStore())
  await createTable(table)
  snapshot = await table.snapshot()
})
afterAll(() => binder.close())

/** What the plan of a query asks for. */
async function plan(text: string, params: Parameters<Planner['plan']>[1] = undefined) {
  const requests: TableRequest[] = []
  const { tables, columns } = await new Planner(binder).plan(text, params, async (request) => {
    requests.push(request)
    return { snapshot }
  })
  return { requests, columns, tables: tables.map(({ name, changesFrom, condition }) => ({ name, changesFrom, condition })) }
}

describe('table_changes', () => {
  it('is a table with the columns of the table and those of changes, from one version to another', async () => {
    expect(await plan("SELECT * FROM table_changes('t', 3, 9) WHERE id > 5")).toEqual({
      requests: [{ schema: '', name: 't', version: 9 }],
      columns: [
        { name: 'id', type: 'BIGINT' },
        { name: 'v', type: 'VARCHAR' },
        { name: '_change_type', type: 'VARCHAR' },
        { name: '_commit_version', type: 'BIGINT' },
        { name: '_commit_timestamp', type: 'TIMESTAMP WITH TIME ZONE' },
      ],
      tables: [{ name: 't', changesFrom: { version: 3 }, condition: 'TRUE' }],
    })
  })

  it.each([
    ["'2026-11-01'", { timestampMs: Date.UTC(2026, 10, 1) }],
    ["TIMESTAMPTZ '2026-11-01 10:00:00+02'", { timestampMs: Date.UTC(2026, 10, 1, 8) }],
    ['1 + 2', { version: 3 }],
    ['3::UTINYINT', { version: 3 }],
    ['$v', { version: 7 }],
  ])('begins at %s, and ends at the newest version', async (from, changesFrom) => {
    const { requests, tables } = await plan(`FROM table_changes('t', ${from})`, { v: 7 })
    expect(requests).toEqual([{ schema: '', name: 't' }])
    expect(tables).toMatchObject([{ changesFrom }])
  })

  it('is known by its alias, by its own name without one, and stands beside the table itself', async () => {
    const { requests } = await plan(
      "SELECT c.id, table_changes.v FROM table_changes('t', 0) c JOIN table_changes('t', ?, ?) USING (id) JOIN t USING (id) JOIN t@v3 USING (id)",
      [1, 2],
    )
    expect(requests).toContainEqual({ schema: '', name: 't' })
    expect(requests).toContainEqual({ schema: '', name: 't', version: 2 })
    expect(requests).toContainEqual({ schema: '', name: 't', version: 3 })
    expect(requests).toHaveLength(4)
  })

  it.each([
    ["table_changes('delta.`/a/t`', 1)", 'delta', '/a/t'],
    ["table_changes_by_path('/a/t', 1)", 'delta', '/a/t'],
    ["TABLE_CHANGES('main.t', 1)", '', 't'],
  ])('names its table as %s', async (call, schema, name) => {
    expect((await plan(`FROM ${call}`)).requests).toEqual([{ schema, name }])
  })

  it.each([
    ['FROM table_changes(t, 1)', 'the name of a table in quotes'],
    ["FROM table_changes('t')", 'expected ,'],
    ["FROM table_changes('t', )", 'a version or a time'],
    ["FROM table_changes('t', 1, 2, 3)", 'expected \\)'],
    ["FROM table_changes('t', 1", 'expected \\) at the end'],
    ["FROM table_changes('t u', 1)", 'takes the name of a table'],
    ["FROM table_changes('', 1)", 'expected a table'],
    ["FROM table_changes('t', NULL)", 'is NULL'],
    ["FROM table_changes('t', 1.5)", 'a whole number'],
    ["FROM table_changes('t', (SELECT max(a) FROM s))", 'cannot come from a table'],
    ["SELECT table_changes('t', 1)", 'where no table can stand'],
  ])('says what is wrong with %s', async (text, words) => {
    await expect(plan(text)).rejects.toMatchObject({ code: 'SQL_INVALID', message: expect.stringMatching(words) as string })
  })

  it('is no more than a name elsewhere', () => {
    for (const text of ['SELECT table_changes FROM t', 'SELECT s.table_changes(1) FROM s', "SELECT 'table_changes(1)'"])
      expect(readQuery(text)).toMatchObject({ text, changes: [] })
  })
})
