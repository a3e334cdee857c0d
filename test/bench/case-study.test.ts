import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { ContestantResult, StudyResult } from '../../bench/case-study/result.js'
import { isInstalled } from '../../bench/case-study/service.js'
import { useCli } from '../cli/cli.js'
import { KAFKA_REASON, kafkaBroker } from '../support/kafka.js'
import { describeWhen } from '../support/needs.js'

const cli = useCli()
const EXACT = { urls: 0, missing: 0, extra: 0 }

async function studyOf(only: string, env: Readonly<Record<string, string>>) {
  const file = join(cli.folder(), `${only}.json`)
  const words = ['--rows', '6000', '--urls', '200', '--post-rows', '20', '--instants', '20', '--only', only, '--json', file]
  const ended = await cli.run(words, { program: 'bench/case-study/main.cjs', env })
  expect(ended.code, ended.stderr).toBe(0)
  return { stdout: ended.stdout, result: JSON.parse(readFileSync(file, 'utf8')) as StudyResult }
}

const only = ({ contestants }: StudyResult) => contestants[0] as ContestantResult

describe('the case study', () => {
  it('runs deltaic, which is exact at every instant and after the repair, and skips by name what is not there', async () => {
    const { stdout, result } = await studyOf('mariadb,lambda,kappa,deltaic', { PATH: '' })
    for (const reason of ['apt-get install mariadb-server', 'apt-get install redis-server', 'DELTAIC_TEST_KAFKA'])
      expect(stdout).toMatch(new RegExp(`: skipped, .*${reason}`))
    const deltaic = result.contestants.find(({ name }) => name === 'deltaic')
    expect(deltaic).toMatchObject({ wrong: [], drained: EXACT, asOf: { questions: 20, exact: 20, meanShare: 0 } })
    expect(deltaic).toMatchObject({ repair: { before: { missing: 0, extra: result.copies }, after: EXACT } })
    expect(result.copies).toBeGreaterThan(0)
  })

  // What CI does not start is tried where it is installed.
  it.runIf(isInstalled('mariadbd'))('counts in MariaDB, exactly until something has to be taken out again', async () => {
    const { result } = await studyOf('mariadb', { PATH: process.env['PATH'] ?? '' })
    expect(only(result)).toMatchObject({ wrong: [], drained: EXACT, repair: { before: { extra: result.copies } } })
    expect(only(result).repair.after.urls).toBeGreaterThan(0)
  })

  it.runIf(isInstalled('redis-server'))('counts by Lambda, exactly once the batch layer has seen everything', async () => {
    const { result } = await studyOf('lambda', { PATH: process.env['PATH'] ?? '' })
    expect(only(result)).toMatchObject({ drained: { extra: 0 }, repair: { after: EXACT } })
  })
})

describeWhen(kafkaBroker !== undefined, KAFKA_REASON, 'the case study with a broker', () => {
  it('counts by Kappa, exactly once the processor has caught up, and again after a replay', async () => {
    const { result } = await studyOf('kappa', { DELTAIC_TEST_KAFKA: kafkaBroker ?? '' })
    expect(only(result)).toMatchObject({ drained: EXACT, repair: { before: { extra: result.copies }, after: EXACT } })
  })
})
