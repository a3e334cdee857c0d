import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { tableFromIPC } from 'apache-arrow'
import { describe, expect, it } from 'vitest'
import { useCli } from './cli.js'

const cli = useCli()
const ROWS = 300_000
const MANY = `SELECT range AS n, 'row number ' || range AS text FROM range(${ROWS})`

describe('pipes', () => {
  it('streams a large answer whole', async () => {
    const { code, stdout, stderr } = await cli.run(['sql', MANY, '-o', 'ndjson'])
    expect([code, stderr, stdout.split('\n').length]).toEqual([0, '', ROWS + 1])
    expect(JSON.parse(stdout.slice(stdout.lastIndexOf('{')))).toMatchObject({ text: `row number ${ROWS - 1}` })
  })

  it.each(['ndjson', 'csv', 'table'])('stops quietly when the reader of %s has enough', async (format) => {
    const running = cli.start(['sql', MANY, '-o', format])
    running.process.stdout.once('data', () => running.process.stdout.destroy())
    expect(await running.ended).toMatchObject({ code: 0, stderr: expect.not.stringContaining('error') })
  })

  it('carries Arrow and Parquet', async () => {
    const arrow = cli.start(['sql', MANY, '-o', 'arrow'])
    const chunks: Buffer[] = []
    arrow.process.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
    expect(await arrow.ended).toMatchObject({ code: 0, stderr: '' })
    expect(tableFromIPC(Buffer.concat(chunks)).numRows).toBe(ROWS)
    const parquet = await cli.run(['sql', 'SELECT 1 AS n', '-o', 'parquet'])
    expect([parquet.code, parquet.stdout.slice(0, 4)]).toEqual([0, 'PAR1'])
    expect(await cli.run(['tables', '-o', 'arrow'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('answers of queries'),
    })
  })

  it('explains instead of running', async () => {
    const { code, stdout } = await cli.run(['sql', '--explain', MANY, '-o', 'csv'])
    expect([code, stdout.split('\n')[0]]).toEqual([0, 'explain_key,explain_value'])
    expect(stdout).not.toContain('row number 1\n')
  })

  it('prints a table into a pipe as well, and says where it is cut', async () => {
    const { stdout, stderr } = await cli.run(['sql', MANY])
    expect(stdout).toContain('│ row number 9999 ')
    expect(stdout).not.toContain('│ row number 10000 ')
    expect(stderr).toContain('cut at 10,000 rows')
    expect((await cli.run(['sql', MANY, '--quiet'])).stderr).toBe('')
  })

  it('feeds a query into an ingest', async () => {
    const rows = (await cli.run(['sql', "SELECT range AS n, 'x' AS s FROM range(1000)", '-o', 'ndjson'])).stdout
    const loaded = await cli.run(['ingest', 'piped', '-', '--create'], { stdin: rows })
    expect(loaded).toMatchObject({ code: 0, stdout: expect.stringMatching(/^1,000 rows into piped, 1 commit, version 1, /) })
    expect((await cli.run(['sql', 'SELECT sum(n)::BIGINT AS s FROM piped', '-o', 'csv'])).stdout).toBe('s\n499500\n')
  })

  it('works in a shell', async () => {
    await writeFile(join(cli.folder(), 'empty'), '')
    const { process: child } = cli.start(['--version'])
    const [node = '', main = ''] = child.spawnargs
    const line = `"${node}" "${main}" sql "${MANY}" -o ndjson | head -n 1`
    const stdout = await new Promise<string>((resolve, reject) => {
      execFile('sh', ['-c', line], { cwd: cli.folder() }, (error, out, err) =>
        error || err ? reject(error ?? new Error(err)) : resolve(out),
      )
    })
    expect(JSON.parse(stdout)).toMatchObject({ text: 'row number 0' })
  })
})
