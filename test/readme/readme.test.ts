import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import ts from 'typescript'
import { afterAll, describe, expect, it } from 'vitest'
import { useCli } from '../cli/cli.js'
import { describeWhen } from '../support/needs.js'
import { sharedFolder } from '../support/peers.js'

const run = promisify(execFile)
const root = resolve(import.meta.dirname, '../..')
const readme = readFileSync(join(root, 'README.md'), 'utf8')
const blocks = (language: string) =>
  [...readme.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map((match) => match[1] ?? '')
const realLog = join(sharedFolder, 'data', 'apache_access.log')
const folder = mkdtempSync(join(tmpdir(), 'deltaic-readme-'))

useCli()
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** The quick start's commands as they stand, but for the build, the port, and the lakehouse's place. */
async function walk(lake: string, log: string): Promise<string> {
  const port = await freePort()
  const script = blocks('sh')
    .join('\n')
    .replace('npm ci && npm run build', '')
    .replace('dist/cli', 'dist/.cli-test/cli')
    .replaceAll('8081', String(port))
    .replaceAll('data/access.log', log)
  const tourWasHere = `node dist/.cli-test/cli/main.cjs sql 'CREATE TABLE page_views (url STRING)'`
  const options = { cwd: root, env: { ...process.env, DELTAIC_ROOT: join(folder, lake) }, timeout: 150_000 }
  const { stdout, stderr } = await run('bash', ['-c', `set -e -m -o pipefail\n${tourWasHere}\n${script}\nwait || true`], options)
  return stdout + stderr
}

describe('the quick start', () => {
  it('runs command by command on the sample log', async () => {
    const said = await walk('sample', 'data/access.log')
    expect(said).toContain('1,999 rows into requests, 4 commits, version 4')
    expect(said).toMatch(/1201 │ no "request", status and bytes after its time/)
    expect(said).toContain('4 files → 1 file')
    expect(said).toContain('"replayed":false')
    expect(said).toMatch(/\{"url":"\/a","views":1\}/)
  }, 180_000)

  it('shows library code that runs as it stands', async () => {
    const [code = ''] = blocks('ts')
    const local = code
      .replace("'deltaic'", JSON.stringify(join(root, 'dist/.cli-test/src/index.js')))
      .replace("'./lake'", JSON.stringify(join(folder, 'library')))
    const { outputText } = ts.transpileModule(local, {
      compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
    })
    const file = join(folder, 'library.mjs')
    writeFileSync(file, outputText)
    const { stdout } = await run('node', [file])
    expect(stdout).toBe('1 { visits: 1 }\n')
  }, 60_000)

  it('links only to what is there', () => {
    const links = [...readme.matchAll(/\]\((?!https?:)([^)]+)\)/g)].map((match) => match[1] ?? '')
    expect(links.filter((link) => !existsSync(join(root, link)))).toEqual([])
  })
})

describeWhen(existsSync(realLog), 'the shared access log is not beside the repository', 'the quick start on a real log', () => {
  it('takes 9,999 of 10,000 lines and names the broken one', async () => {
    const said = await walk('real', realLog)
    expect(said).toContain('9,999 rows into requests, 20 commits, version 20')
    expect(said).toMatch(/8899 │ no "referrer" and "user agent" at its end/)
    expect(said).toContain('20 files → 1 file')
  }, 180_000)
})

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((done) => server.once('listening', done))
  const { port } = server.address() as { port: number }
  await new Promise((done) => server.close(done))
  return port
}
