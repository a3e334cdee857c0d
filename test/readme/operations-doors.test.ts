// What the pages of operations show for the command line, HTTP and the library, run as it stands on the table of the page.
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type Lakehouse, openLakehouse, type Table } from '../../src/index.js'
import { useCli } from '../cli/cli.js'
import { serveLake } from '../server/lake-server.js'

const pages = resolve(import.meta.dirname, '../../docs/operations')
const cli = useCli()

interface Line {
  readonly page: string
  readonly code: string
  /** What an HTTP request is sent with. */
  readonly body: string | undefined
}

/** The code in the rows of a door, of every page. */
function linesOf(door: string, isOne: (code: string) => boolean): Line[] {
  return readdirSync(pages).flatMap((page) => {
    const rows = [...textOf(page).matchAll(new RegExp(`^\\| ${door} \\| (.*) \\|$`, 'gm'))].map((match) => match[1] ?? '')
    const spans = rows.flatMap((row) => [...row.matchAll(/`([^`]+)`(?: with `([^`]+)`)?/g)])
    return spans.flatMap(([, code = '', body]) => (isOne(code) ? [{ page, code, body }] : []))
  })
}

const textOf = (page: string) => readFileSync(join(pages, page), 'utf8')

/** Makes what a page begins with: the tables of its first SQL. @returns the folder that it calls `/data/raw`. */
async function begin(lake: Lakehouse, page: string, folder: string): Promise<string> {
  const raw = join(folder, 'raw')
  const [first = ''] = [...textOf(page).matchAll(/^```sql\n([\s\S]*?)^```/gm)].map((match) => match[1])
  const all =
    page === 'undo.md' ? [...textOf(page).matchAll(/^```sql\n([\s\S]*?)^```/gm)].map((match) => match[1]).join('') : first
  const statements = (all ?? '').split(/;\s*$/m).map((text) => text.trim())
  // The page of creation shows how the table comes to be, and the one of conversion how files of others do.
  const kept = statements.filter(
    (text) => text !== '' && page !== 'create.md' && page !== 'convert.md' && !/^UNDO|^SHOW/.test(text),
  )
  for (const statement of kept) await lake.sql(statement)
  if (page === 'merge.md')
    await lake.sql("CREATE OR REPLACE TABLE news AS SELECT 2::BIGINT AS id, '/c' AS url, DATE '2026-11-02' AS day")
  if (page === 'convert.md') {
    await lake.sql('CREATE TABLE made (id BIGINT, day DATE) PARTITIONED BY (day)')
    await lake.sql("INSERT INTO made VALUES (1, DATE '2026-11-01')")
    renameSync(join(folder, 'lake/made'), raw)
    rmSync(join(raw, '_delta_log'), { recursive: true })
  }
  writeFileSync(join(folder, 'more.csv'), 'id,url\n9,/z\n')
  writeFileSync(join(folder, 'more.ndjson'), '{"id": 9, "url": "/z"}\n')
  return raw
}

const inFolder = (code: string, folder: string, raw: string) =>
  code.replaceAll('/data/raw', raw).replaceAll("'more.csv'", `'${join(folder, 'more.csv')}'`)

describe('the pages of operations show', () => {
  const library = linesOf('library', (code) => /^(?:lake|table)\.\w+\(/.test(code))
  it.each(library)('library calls that run: $code', async ({ page, code }) => {
    const folder = mkdtempSync(join(tmpdir(), 'deltaic-doors-'))
    const lake = await openLakehouse(join(folder, 'lake'))
    try {
      const raw = await begin(lake, page, folder)
      const call = new Function('lake', 'table', 'bytes', `return ${inFolder(code, folder, raw)}`) as (
        lake: Lakehouse,
        table: Table,
        bytes: Uint8Array,
      ) => Promise<unknown>
      const table = lake.table(page === 'undo.md' ? 'tracked' : 'views')
      await expect(call(lake, table, Buffer.from('{"id": 9}\n'))).resolves.not.toBe(null)
    } finally {
      await lake.close()
      rmSync(folder, { recursive: true, force: true })
    }
  })

  const requests = linesOf('HTTP', (code) => code.startsWith('POST /'))
  it.each(requests)('requests that are answered: $code', async ({ page, code, body }) => {
    await using server = await serveLake()
    await begin(server.lake, page, server.folder)
    const headers = { 'content-type': 'application/json' }
    const answer = await server.post(code.replace('POST ', ''), body ?? '', body === undefined ? {} : headers)
    expect(answer.status, await answer.text()).toBe(200)
  })

  const commands = linesOf('command line', (code) => code.startsWith('deltaic '))
  it.each(commands)('commands that run: $code', async ({ page, code }) => {
    const folder = mkdtempSync(join(tmpdir(), 'deltaic-doors-'))
    try {
      const lake = await openLakehouse(join(folder, 'lake'))
      const raw = await begin(lake, page, folder)
      await lake.close()
      const words = [...inFolder(code, folder, raw).matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(
        ([, a, b, c]) => a ?? b ?? c ?? '',
      )
      const ended = await cli.run(words.slice(1), { cwd: folder, env: { DELTAIC_ROOT: join(folder, 'lake') } })
      expect(ended.code, ended.stderr).toBe(0)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

  it('something for every door', () => {
    expect([library.length, requests.length, commands.length].map((found) => found >= 5)).toEqual([true, true, true])
  })
})
