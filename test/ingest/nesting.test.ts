import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { checkNesting } from '../../src/ingest/nesting.js'
import { openLake } from '../support/world.js'

const folder = mkdtempSync(join(tmpdir(), 'deltaic-nesting-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function check(text: string): Promise<void> {
  const file = join(folder, 'text.ndjson')
  writeFileSync(file, text)
  await checkNesting(file, 'ndjson')
}

const nested = (depth: number) => `{"a":${'['.repeat(depth)}${']'.repeat(depth)}}\n`

it('takes what a table could hold, on any number of lines, brackets inside strings aside', async () => {
  await expect(check(nested(150).repeat(10))).resolves.toBeUndefined()
  await expect(check('{"a": [\n'.repeat(1000))).resolves.toBeUndefined()
  await expect(check(`${JSON.stringify({ a: `\\"${'['.repeat(5000)}` })}\n`)).resolves.toBeUndefined()
})

it.each([
  ['a deep line', nested(100_000)],
  ['one behind a string that does not end', `{"a": "x\n${nested(100_000)}`],
  ['one behind an escaped quote', `{"a": "\\""}\n${nested(100_000)}`],
])('refuses %s', async (_, text) => {
  await expect(check(text)).rejects.toMatchObject({ code: 'ROWS_INVALID' })
})

it.each(['ndjson', 'json'] as const)('a table is not made from %s that would end the process', async (format) => {
  await using lake = await openLake()
  const table = lake.table('deep')
  await expect(table.ingest(Buffer.from(nested(200_000)), { format, create: true })).rejects.toMatchObject({
    code: 'ROWS_INVALID',
  })
  expect(await table.exists()).toBe(false)
})
