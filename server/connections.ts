import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { HttpError, problemText, toProblem } from './errors.js'

/** What is left of a body that was refused is read for so long, so that the caller gets to read why. */
const LINGER_MS = 5000

/** Ends connections politely: after a refusal once the caller had time to read it, and after the last answer when the server closes. */
export function careForConnections(app: FastifyInstance): void {
  let draining = false
  app.addHook('preClose', async () => {
    draining = true
  })
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (draining) reply.header('connection', 'close')
    done()
  })
  app.addHook('onResponse', (request, _reply, done) => {
    lingerOver(request)
    if (draining) setImmediate(() => app.server.closeIdleConnections())
    done()
  })
}

function lingerOver({ raw }: FastifyRequest): void {
  if (raw.complete) return
  const timer = setTimeout(() => raw.socket?.destroy(), LINGER_MS).unref()
  raw.once('end', () => clearTimeout(timer)).resume()
}

/** What does not parse as HTTP never becomes a request; its sender gets a problem all the same. */
export function answerBrokenRequest(error: Error & { readonly code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  const refusal =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? new HttpError('REQUEST_MALFORMED', 'the headers are too large', {}, undefined, 431)
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? new HttpError('REQUEST_MALFORMED', 'the request took too long to come in', {}, undefined, 408)
        : new HttpError('REQUEST_MALFORMED', 'this is not HTTP')
  const body = problemText(toProblem(refusal))
  const head = [
    `HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status]}`,
    'Content-Type: application/problem+json',
    'Connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
}
