import { readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, describe, expect, it } from 'vitest'
import { buildProgram } from '../../cli/program.js'
import { keptOpen, useCli } from './cli.js'

const cli = useCli()

describe('exit codes and errors', () => {
  beforeAll(async () => {
    await cli.run(['sql', 'CREATE TABLE t (a INT); INSERT INTO t VALUES (1)'])
  })

  it.each([
    ['--help', 0],
    ['--version', 0],
    ['help sql', 0],
    ['sql --help', 0],
    ['', 2],
    ['--nonsense', 2],
    ['nonsense', 2],
    ['describe', 2],
    ['tables -o xml', 2],
    ['history t --limit none', 2],
    ['ingest t x.ndjson --on-error shrug', 2],
    ['ingest t --sequence 1', 2],
    ['at t', 2],
    ['at t --version 0 --timestamp 2026-01-01', 2],
    ['at t --version -1', 2],
    ['optimize t --target-file-size big', 2],
    ['serve --port 70000', 2],
    ['describe nowhere', 3],
    ['history nowhere', 3],
    ['optimize nowhere', 3],
    ['restore t', 2],
    ['restore t --version 0 --timestamp 2026-01-01', 2],
    ['restore t --version 99', 3],
    ['restore nowhere --version 0', 3],
    ['checkpoint nowhere', 3],
    ['at t --version 99', 3],
    ['ingest t nowhere.ndjson', 3],
    ['ingest nowhere -', 3],
    ['sql SELEC', 1],
    ['sql SELECT+FROM+WHERE', 1],
  ])('deltaic %s ends with %d', async (line, code) => {
    const ended = await cli.run(
      line
        .split(' ')
        .filter(Boolean)
        .map((word) => word.replaceAll('+', ' ')),
    )
    expect([ended.code, ended.stderr]).toEqual([code, expect.anything()])
    if (code !== 0 && line !== '') expect(ended.stderr).toMatch(/^error: /)
    if (code !== 0) expect(ended.stdout).toBe('')
  })

  it('has an example in the help of each command', () => {
    const commands = buildProgram(() => async () => {}).commands
    expect(commands.map((command) => command.name())).toHaveLength(26)
    for (const command of commands) {
      let help = ''
      command.configureOutput({
        writeOut: (text) => {
          help += text
        },
      })
      command.outputHelp()
      expect(help, command.name()).toMatch(/Example:\n {2}\$ .*deltaic /)
    }
  })

  it('prints its version', async () => {
    expect((await cli.run(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+/)
  })

  it('says what went wrong and what to do', async () => {
    const { stderr } = await cli.run(['ingest', 't', 'rows.data'], { stdin: '' })
    expect(stderr).toMatch(/^error: .*\nhint: .*\n$/)
    expect((await cli.run(['describ', 't'])).stderr).toBe("error: unknown command 'describ'\nhint: Did you mean describe?\n")
  })

  it('tells errors as JSON where results are', async () => {
    const { code, stderr } = await cli.run(['describe', 'nowhere', '-o', 'json'])
    expect(code).toBe(3)
    expect(JSON.parse(stderr)).toMatchObject({ error: { code: 'TABLE_NOT_FOUND', kind: 'notFound' } })
    expect(JSON.parse((await cli.run(['sql', 'SELECT 1 +', '-o', 'json'])).stderr)).toMatchObject({
      error: { code: 'SQL_INVALID' },
    })
    expect(JSON.parse((await cli.run(['at', 't', '-o', 'json'])).stderr)).toMatchObject({ error: { code: 'USAGE' } })
  })

  it('ends with 5 for a damaged table', async () => {
    const root = join(cli.folder(), 'damaged')
    await cli.run(['sql', 'CREATE TABLE t (a INT); INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)', '--root', root])
    const log = join(root, 't', '_delta_log')
    expect(await readdir(log)).toContain('00000000000000000001.json')
    await rm(join(log, '00000000000000000001.json'))
    expect(await cli.run(['sql', 'SELECT * FROM t', '--root', root])).toMatchObject({
      code: 5,
      stderr: expect.stringMatching(/^error: /),
    })
  })

  it('reads the config file of the working folder', async () => {
    await writeFile(join(cli.folder(), 'deltaic.json'), '{"output": "csv"}')
    expect((await cli.run(['sql', 'SELECT 1 AS a'])).stdout).toBe('a\n1\n')
    await writeFile(join(cli.folder(), 'deltaic.json'), '{"outputt": "csv"}')
    expect(await cli.run(['sql', 'SELECT 1 AS a'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('unknown key: outputt'),
    })
    await rm(join(cli.folder(), 'deltaic.json'))
  })

  it('does not make a lakehouse by looking at one', async () => {
    const root = join(cli.folder(), 'unmade')
    expect((await cli.run(['tables', '--root', root])).code).toBe(0)
    expect(await readdir(cli.folder())).not.toContain('unmade')
  })

  it('cancels a running query on Ctrl-C and ends with 130', async () => {
    const running = cli.start([
      'sql',
      'SELECT count(*) FROM range(4000000) a, range(4000000) b WHERE (a.range * b.range) % 7 = 3',
    ])
    await sleep(2_000)
    running.process.kill('SIGINT')
    expect(await running.ended).toMatchObject({ code: 130, stderr: 'interrupted\n' })
  })

  it.each(['ingest t -', 'sql -'])('stops waiting for the stdin of %s on Ctrl-C', async (line) => {
    const running = cli.start(line.split(' '), { stdin: keptOpen })
    await sleep(2_000)
    running.process.kill('SIGINT')
    expect(await running.ended).toMatchObject({ code: 130, stderr: 'interrupted\n' })
  })
})
