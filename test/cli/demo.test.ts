import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, it } from 'vitest'
import { describeWhen } from '../support/needs.js'
import type { Ended } from './cli.js'
import { useCli } from './cli.js'

const cli = useCli()
const sh = promisify(execFile)
const hasCurl = await sh('curl', ['--version']).then(
  () => true,
  () => false,
)

describe('the tour', () => {
  let tour: Ended
  beforeAll(async () => {
    tour = await cli.run(['demo', '--once', '--port', '0'])
  }, 120_000)

  it('plays on an empty lakehouse and every check holds', () => {
    expect(tour).toMatchObject({ code: 0, stderr: '' })
    expect(tour.stdout).not.toContain('✗')
    for (const part of [
      'all 200,000 views are there: 200 requests',
      'answers were exactly what was acknowledged',
      'files → ',
      'give the same answer',
      'still answers as it did then',
      'replayed: true',
      'nothing doubled: 200,000 views',
      'views a second',
      'checks held.',
    ])
      expect(tour.stdout).toContain(part)
    const [, exact, asked] = /(\d+) of (\d+) answers were exactly/.exec(tour.stdout) ?? []
    expect([Number(asked) >= 5, exact]).toEqual([true, asked])
  })

  it('prints no colours where nobody looks', () => {
    expect(tour.stdout).not.toContain('\x1b')
  })

  it('leaves a table that the other commands read', async () => {
    const { stdout } = await cli.run([
      'sql',
      'SELECT count(*) AS n, count(DISTINCT url) > 500 AS many FROM page_views',
      '-o',
      'csv',
    ])
    expect(stdout).toBe('n,many\n200000,true\n')
  })

  it('does not play again where tables are, and checks that they answer', async () => {
    const again = await cli.run(['demo', '--once', '--port', '0'])
    expect(again).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/no tour.*\n\n? {2}✓ page_views answers: 200,000 rows at version \d+\n$/s),
    })
  })

  it('serves what it finds until Ctrl-C, then ends with 0', async () => {
    const running = cli.start(['demo', '--port', '0'])
    const [, url = ''] = await running.says(/Serving at (http:\S+) until Ctrl-C/)
    expect((await fetch(`${url}/healthz`)).status).toBe(200)
    running.process.kill('SIGINT')
    expect((await running.ended).code).toBe(0)
  })

  describeWhen(hasCurl, 'curl is not installed', 'what it says to try next', () => {
    it('works as printed', async () => {
      const running = cli.start(['demo', '--port', '0'])
      await running.says(/openapi\.json\n/)
      const lines = [...(await running.says(/In another terminal:[\s\S]*/))[0].matchAll(/^ {2}(curl .*)$/gm)].map(
        ([, line = '']) => line,
      )
      expect(lines.length).toBeGreaterThanOrEqual(5)
      for (const line of lines) {
        const { stdout } = await sh('sh', ['-c', line])
        expect([line, stdout]).toEqual([line, expect.not.stringMatching(/"status":[45]|^$/)])
      }
      running.process.kill('SIGINT')
      await running.ended
    })
  })
})
