// A test that did not run proves nothing, so each is named with its reason; the closing line counts what really happened.
import type { SerializedError } from 'vitest'
import type { Reporter, TestCase, TestModule, TestSuite, Vitest } from 'vitest/node'

/** Lists the skipped tests and ends the report with `N passed, N failed, N skipped`. */
export default class ClosingLineReporter implements Reporter {
  private namePattern: RegExp | undefined

  onInit(vitest: Vitest): void {
    this.namePattern = vitest.config.testNamePattern
  }

  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    const { passed, failed, skipped } = tally(modules, this.namePattern)
    const lines = skipped.length === 0 ? [] : ['', 'Skipped:', ...skipped.map((test) => `  ${test.name}: ${test.reason}`), '']
    lines.push(`${passed} passed, ${failed + unhandledErrors.length} failed, ${skipped.length} skipped`)
    process.stdout.write(`${lines.join('\n')}\n`)
  }
}

interface Tally {
  passed: number
  /** Failed tests, and each file or suite that could not be set up, torn down or loaded. */
  failed: number
  skipped: { readonly name: string; readonly reason: string }[]
}

function tally(modules: readonly TestModule[], namePattern: RegExp | undefined): Tally {
  const sum: Tally = { passed: 0, failed: 0, skipped: [] }
  for (const module of modules) {
    if (module.errors().length > 0) sum.failed++
    for (const suite of module.children.allSuites()) if (suite.errors().length > 0) sum.failed++
    for (const test of module.children.allTests()) {
      const result = test.result()
      if (result.state === 'passed') sum.passed++
      else if (result.state !== 'skipped') sum.failed++
      else if (isWanted(test, namePattern)) sum.skipped.push({ name: nameOf(test), reason: result.note ?? reasonOf(test) })
    }
  }
  return sum
}

/** Whether the run was to include this test; a run by name marks all the others as skipped. */
function isWanted(test: TestCase, namePattern: RegExp | undefined): boolean {
  return namePattern === undefined || namePattern.test(test.fullName.replaceAll(' > ', ' '))
}

const REASON = /\s*\[skipped: (.*)\]$/

function nameOf(test: TestCase): string {
  return `${test.module.relativeModuleId} > ${test.fullName.replace(REASON, '')}`
}

function reasonOf(test: TestCase): string {
  const named = REASON.exec(test.fullName)?.[1]
  if (named !== undefined) return named
  for (let parent: TestModule | TestSuite = test.parent; ; parent = parent.parent) {
    if (parent.errors().length > 0) return 'its set-up failed'
    if (parent.type === 'module') return 'no reason given'
  }
}
