/** Groups of fewer bytes are not split: each costs a statement and a commit of its own. */
const SPLIT_BYTES_MIN = 512 * 1024
/** What a group may lack of its share: bodies differ. */
const ENOUGH = 0.75
/** How much of what was once under way is still reckoned with, a group later. */
const MEMORY = 0.9
/** One share is read while the other commits. */
const SHARES = 2

/**
 * How large groups are to be. Those who send rows wait for their answer and then send more, so as many bytes as are under way
 * at one time will be again: a group is worth its while when it holds half of them, and the other half is read while it commits.
 * Begun with the first request, groups of nearly all would alternate with groups of one, and nothing be done side by side.
 */
export class GroupPace {
  /** As many bytes as were waiting or in groups when groups began, lately. */
  private underWay = Number.POSITIVE_INFINITY

  /** Whether a group need not wait for more requests. */
  isEnough(waitingBytes: number): boolean {
    return waitingBytes >= ENOUGH * this.share
  }

  /** Takes note of a group that begins. @returns as many bytes as it is to hold at most. */
  begin(waitingBytes: number, begunBytes: number): number {
    const now = waitingBytes + begunBytes
    this.underWay = Number.isFinite(this.underWay) ? Math.max(now, this.underWay * MEMORY) : now
    return Math.max(this.share, Math.min(waitingBytes, SPLIT_BYTES_MIN))
  }

  private get share(): number {
    return this.underWay >= SHARES * SPLIT_BYTES_MIN ? this.underWay / SHARES : this.underWay
  }
}
