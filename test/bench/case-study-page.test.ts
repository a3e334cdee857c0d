import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { pageWith, plotsOf } from '../../bench/case-study/docs.js'
import type { StudyResult } from '../../bench/case-study/result.js'

const DOCS = join(import.meta.dirname, '../../docs')
const read = (file: string) => readFileSync(join(DOCS, file), 'utf8')

describe('the page of the case study', () => {
  const result = JSON.parse(read('case-study/results.json')) as StudyResult

  it('has the figures and plots of the results beside it', () => {
    expect(pageWith(read('case-study.md'), result)).toBe(read('case-study.md'))
    for (const [name, svg] of Object.entries(plotsOf(result))) expect(read(`case-study/${name}`)).toBe(svg)
  })

  it('tells of all four', () => {
    expect(result.contestants.map(({ name }) => name)).toEqual(['mariadb', 'lambda', 'kappa', 'deltaic'])
    for (const contestant of result.contestants) expect(contestant).not.toHaveProperty('skipped')
  })
})
