import { expect } from 'vitest'
import { type Lakehouse, type LakehouseOptions, openLakehouse } from '../../src/index.js'
import type { useCli } from '../cli/cli.js'
import { rowsOf } from '../support/world.js'
import type { Producers } from './producers.js'

/** A server that is killed and started again; its port changes. */
export class Victim {
  url = 'http://127.0.0.1:9'
  private readonly cli: ReturnType<typeof useCli>
  private readonly root: string
  private readonly words: readonly string[]
  private readonly env: Readonly<Record<string, string>>
  private running: ReturnType<ReturnType<typeof useCli>['start']> | undefined

  constructor(
    cli: ReturnType<typeof useCli>,
    root: string,
    words: readonly string[] = [],
    env: Readonly<Record<string, string>> = {},
  ) {
    this.cli = cli
    this.root = root
    this.words = words
    this.env = env
  }

  async start(): Promise<void> {
    this.running = this.cli.start(['serve', '--root', this.root, '--port', '0', ...this.words], { env: this.env })
    const [, url = ''] = await this.running.says(/ at (http:\/\/[^;\s]+);/)
    this.url = url
  }

  async kill(): Promise<void> {
    this.running?.process.kill('SIGKILL')
    await this.running?.ended
  }

  async killAndStart(): Promise<void> {
    await this.kill()
    await this.start()
  }
}

/** Every acknowledged row is there once, every other at most once, a batch whole or not at all; and the table is well. */
export async function expectAllThere(lake: Lakehouse, producers: Producers): Promise<void> {
  expect(producers.refusals).toEqual([])
  expect(producers.acked.length).toBeGreaterThan(0)
  const found = await rowsOf(lake, 'SELECT id, count(*) AS n FROM t GROUP BY id')
  expect(found.filter(({ n }) => n !== 1)).toEqual([])
  const there = new Set(found.map(({ id }) => id as number))
  expect(producers.acked.flatMap(({ ids }) => ids).filter((id) => !there.has(id))).toEqual([])
  for (const { ids } of producers.batches) expect([0, ids.length]).toContain(ids.filter((id) => there.has(id)).length)
  expect(there.size).toBe(producers.batches.flatMap(({ ids }) => ids).filter((id) => there.has(id)).length)
  expect((await lake.table('t').fsck()).problems).toEqual([])
}

export async function withLake(
  root: string,
  options: LakehouseOptions,
  work: (lake: Lakehouse) => Promise<unknown>,
): Promise<void> {
  const lake = await openLakehouse(root, options)
  try {
    await work(lake)
  } finally {
    await lake.close()
  }
}

const PROPERTIES =
  "'deltaic.maintenance.minFiles' = '4', 'delta.checkpointInterval' = '5', 'delta.enableDeletionVectors' = 'true'"

export async function createTable(lake: Lakehouse): Promise<void> {
  await lake.sql(`CREATE TABLE t (id BIGINT, v STRING) TBLPROPERTIES (${PROPERTIES})`)
}
