import { expect, it } from 'vitest'
import { openLake } from '../support/world.js'

const deep = "(repeat('[', 300000) || repeat(']', 300000))"

it.each([
  `SELECT json_structure(${deep})`,
  `SELECT json_group_structure(${deep}::JSON)`,
  `SELECT json_contains(${deep}, '1')`,
  `SELECT json_merge_patch(${deep}, '{}')`,
  `SELECT json_pretty(${deep})`,
  `SELECT count(*) FROM json_tree(${deep})`,
  `SELECT (${deep}::JSON::VARIANT)::VARCHAR`,
  `SELECT list_transform([${deep}], x -> JSON_STRUCTURE(x))`,
  `SELECT (${deep}::JSON::STRUCT(a VARIANT))::VARCHAR`,
])('refuses what deep nesting would end the process with: %s', async (sql) => {
  await using lake = await openLake()
  await expect(lake.sql(sql)).rejects.toMatchObject({ code: 'SQL_FORBIDDEN' })
})

it('still takes JSON apart', async () => {
  await using lake = await openLake()
  const sql = `SELECT '{"a":[1,2]}'::JSON -> '$.a[1]' AS one, (SELECT count(*) FROM json_each('{"a":1,"b":2}')) AS many`
  expect(await (await lake.sql(sql)).rows()).toMatchObject([{ one: '2', many: 2n }])
})
