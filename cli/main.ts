#!/usr/bin/env node
// DuckDB's asynchronous calls each hold a thread of libuv's pool, whose size is read when it is first used: so before any import.
process.env['UV_THREADPOOL_SIZE'] ??= '16'

const { main } = await import('./program.js')
await main(process.argv.slice(2))
