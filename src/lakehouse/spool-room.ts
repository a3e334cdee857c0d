import type { Clock } from '../base/clock.js'
import { DeltaError } from '../base/errors.js'

/** What a request costs that has no bytes yet. */
const REQUEST_BYTES = 1024
/** How far back it is looked to tell how fast room is given back. */
const WINDOW_MS = 10_000
const [RETRY_MS_MIN, RETRY_MS_MAX, RETRY_MS_UNKNOWN] = [100, 60_000, 1000]

/** Who holds room, and which part of what is free it may hold when it asks for more. */
export interface RoomOwner {
  readonly name: string
  readonly share: number
}

/**
 * Bounds what requests hold while they come in, fairly: a new request of an owner is let in while the owner holds no more than
 * its share of what is free. So one that sends without end leaves room for others, however long it has been alone.
 */
export class SpoolRoom {
  readonly bytesMax: number
  private readonly clock: Clock
  private readonly holders = new Map<string, number>()
  private readonly given: { readonly second: number; bytes: number }[] = []
  private held = 0
  private refused = 0

  constructor(bytesMax: number, clock: Clock) {
    this.bytesMax = bytesMax
    this.clock = clock
  }

  get bytes(): number {
    return this.held
  }

  /** How often there was no room. */
  get refusals(): number {
    return this.refused
  }

  /** @throws {DeltaError} `TOO_BUSY` when there is no room, or the owner holds its share. */
  enter(owners: readonly RoomOwner[]): RoomTicket {
    for (const { name, share } of owners)
      if ((this.holders.get(name) ?? 0) > share * (this.bytesMax - this.held)) throw this.busy(REQUEST_BYTES, name)
    const ticket = new RoomTicket(this, owners)
    ticket.take(REQUEST_BYTES)
    return ticket
  }

  /** @internal */
  take(owners: readonly RoomOwner[], bytes: number): void {
    if (this.held + bytes > this.bytesMax) throw this.busy(bytes)
    this.hold(owners, bytes)
  }

  /** @internal */
  give(owners: readonly RoomOwner[], bytes: number): void {
    this.hold(owners, -bytes)
    this.note(bytes)
  }

  private hold(owners: readonly RoomOwner[], bytes: number): void {
    this.held += bytes
    for (const { name } of owners) {
      const held = (this.holders.get(name) ?? 0) + bytes
      if (held > 0) this.holders.set(name, held)
      else this.holders.delete(name)
    }
  }

  private note(bytes: number): void {
    const second = Math.floor(this.clock.now() / 1000)
    const last = this.given.at(-1)
    if (last?.second === second) last.bytes += bytes
    else this.given.push({ second, bytes })
    while ((this.given[0]?.second ?? second) * 1000 < this.clock.now() - WINDOW_MS) this.given.shift()
  }

  private busy(bytes: number, owner?: string): DeltaError {
    this.refused++
    return new DeltaError(
      'TOO_BUSY',
      owner === undefined ? 'too much is coming in at once' : 'too much is coming in at once from one side',
      { bytesMax: this.bytesMax, ...(owner === undefined ? {} : { owner }), retryAfterMs: this.retryAfterMs(bytes) },
      { hint: 'send it again a little later' },
    )
  }

  /** When a quarter of the room will be free, or what is asked for, going by how fast room was given back of late. */
  private retryAfterMs(bytes: number): number {
    const [first] = this.given
    const total = this.given.reduce((sum, one) => sum + one.bytes, 0)
    if (!first || total === 0) return RETRY_MS_UNKNOWN
    const bytesPerMs = total / Math.max(1000, this.clock.now() - first.second * 1000)
    const wanted = Math.max(bytes, this.bytesMax / 4) - (this.bytesMax - this.held)
    return Math.ceil(Math.min(RETRY_MS_MAX, Math.max(RETRY_MS_MIN, wanted / bytesPerMs)))
  }
}

/** The room of one request. */
export class RoomTicket {
  private readonly room: SpoolRoom
  private readonly owners: readonly RoomOwner[]
  private bytes = 0

  /** @internal */
  constructor(room: SpoolRoom, owners: readonly RoomOwner[]) {
    this.room = room
    this.owners = owners
  }

  /** @throws {DeltaError} `TOO_BUSY` when there is no room. */
  take(bytes: number): void {
    this.room.take(this.owners, bytes)
    this.bytes += bytes
  }

  /** Gives all of it back; once is enough. */
  leave(): void {
    if (this.bytes === 0) return
    this.room.give(this.owners, this.bytes)
    this.bytes = 0
  }
}
