import { describe, expect, it } from 'vitest'

/**
 * Runs `body` as the suite `name` where what it needs is `available`; otherwise one test stands in its place, skipped
 * with its `reason`. Where `DELTAIC_REQUIRE_JUDGES` is 1 the stand-in fails instead: there, everything must be tested.
 */
export function describeWhen(available: boolean, reason: string, name: string, body: () => void): void {
  if (available) {
    describe(name, body)
  } else if (process.env['DELTAIC_REQUIRE_JUDGES'] === '1') {
    it(`${name} has what it needs`, () => expect.unreachable(reason))
  } else {
    it(`${name} [skipped: ${reason}]`, (context) => context.skip(reason))
  }
}
