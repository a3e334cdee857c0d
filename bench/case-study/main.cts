// The size of libuv's thread pool is read when the pool is first used, which loading an ES module does: see cli/main.cts.
process.env['UV_THREADPOOL_SIZE'] ??= '16'

void import('./command.js')
