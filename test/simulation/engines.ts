import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { Engines } from '../../src/lakehouse/engines.js'
import { MemoryStore } from '../../src/storage/memory.js'

/** The engines that all runs of a file of tests share. */
export async function openEngines(): Promise<Engines> {
  const folder = await mkdtemp(join(tmpdir(), 'deltaic-simulation-'))
  const engines = await Engines.open(new MemoryStore(), { tempFolder: folder, threads: 1, memoryLimitBytes: 2 ** 30 })
  // What thousands of runs leave takes a while to clear away.
  afterAll(async () => {
    await engines.close()
    await rm(folder, { recursive: true, force: true })
  }, 600_000)
  return engines
}
