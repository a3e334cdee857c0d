import { openLakehouse } from '../src/index.js'
import { seconds } from './report.js'

export interface Opened {
  readonly seconds: number
  /** What the process took for the table. */
  readonly memoryBytes: number
}

// A process that knows nothing of the table, as those of its peers.
process.once('message', ({ root, table }: { readonly root: string; readonly table: string }) => {
  void open(root, table).then((opened) => {
    process.send?.(opened)
    process.disconnect()
  })
})

async function open(root: string, table: string): Promise<Opened> {
  const lake = await openLakehouse(root)
  const before = process.memoryUsage.rss()
  const taken = await seconds(() => lake.table(table).snapshot())
  const memoryBytes = process.memoryUsage.rss() - before
  await lake.close()
  return { seconds: taken, memoryBytes }
}
