/** What a call rejects with once the user has asked to stop. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted'
}

/**
 * Aborts when the process is asked to stop (Ctrl-C, or SIGTERM). Who asks a second time does not want to wait: that
 * signal does what it would without us, as `process.exit` would wait for the threads of running queries.
 */
export function interruptSignal(): AbortSignal {
  const controller = new AbortController()
  const stop = (signal: NodeJS.Signals) => {
    if (controller.signal.aborted) {
      process.removeAllListeners(signal)
      process.kill(process.pid, signal)
    }
    controller.abort(new Interrupted('interrupted'))
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  return controller.signal
}

/** Resolves once `signal` has aborted. */
export function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
