import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/spark-host.ts'],
    reporters: ['default', './test/support/reporter.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    pool: 'forks',
    maxWorkers: 2,
    // DuckDB's asynchronous calls each hold a thread of libuv's pool; its default of 4 lets tests starve one another.
    env: { UV_THREADPOOL_SIZE: '16' },
  },
})
