import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const repository = fileURLToPath(new URL('../..', import.meta.url))

/** The report of one fixture's run. */
function report(fixture: string, env: Record<string, string> = {}): { readonly text: string; readonly lastLine: string } {
  const args = [
    'node_modules/vitest/vitest.mjs',
    'run',
    '--config',
    'test/support/fixtures/vitest.config.ts',
    '--root',
    '.',
    fixture,
  ]
  const run = spawnSync(process.execPath, args, { cwd: repository, env: { ...process.env, DELTAIC_REQUIRE_JUDGES: '', ...env } })
  const text = run.stdout.toString()
  return { text, lastLine: text.trimEnd().split('\n').at(-1) ?? '' }
}

describe('the closing line', () => {
  it('names each skipped test with its reason', () => {
    const { text, lastLine } = report('needs')
    expect(text).toContain('needs.fixture.ts > missing engine: it is not installed\n')
    expect(text).toContain('needs.fixture.ts > steps aside: the moon is full\n')
    expect(lastLine).toBe('1 passed, 0 failed, 2 skipped')
  })

  it('counts a missing engine as failed where every judge is required', () => {
    expect(report('needs', { DELTAIC_REQUIRE_JUDGES: '1' }).lastLine).toBe('1 passed, 1 failed, 1 skipped')
  })

  it('counts a file that does not load as failed', () => {
    expect(report('unloadable').lastLine).toBe('0 passed, 1 failed, 0 skipped')
  })

  it('counts a broken set-up, a failure, a time-out and an error outside any test', () => {
    const { text, lastLine } = report('failing')
    expect(text).toContain('a suite whose set-up fails > never runs: its set-up failed\n')
    expect(lastLine).toBe('1 passed, 4 failed, 1 skipped')
  })
})
