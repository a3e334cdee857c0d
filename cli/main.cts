#!/usr/bin/env node
// DuckDB's asynchronous calls each hold a thread of libuv's pool, whose size is read when the pool is first used. Loading an
// ES module uses it, so this file is a CommonJS one and comes before any.
process.env['UV_THREADPOOL_SIZE'] ??= '32'

void import('./program.js').then(async ({ main }) => await main(process.argv.slice(2)))
