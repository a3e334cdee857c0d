import { createHash, timingSafeEqual } from 'node:crypto'
import { isIPv4, isIPv6 } from 'node:net'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { HttpError } from './errors.js'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Answered without a token. */
    readonly open?: boolean
    /** Open to those who may only read, although it is no GET: it looks at `request.role` itself. */
    readonly reads?: boolean
  }
  interface FastifyRequest {
    /** What the caller may do. */
    role: Role
  }
}

export type Role = 'read' | 'write'

interface GuardSettings {
  readonly host: string
  readonly token: string | undefined
  readonly readToken: string | undefined
}

/** Lets a request in, or says why not, before anything of its body is read. */
export function guardRequests(app: FastifyInstance, settings: GuardSettings): void {
  const onlyLocal = settings.token === undefined && settings.readToken === undefined
  /** The last one that was found to be: to parse a name costs as much as the rest of the guard. */
  let localName: string | undefined
  app.decorateRequest('role', 'write')
  app.addHook('onRequest', (request, reply, done) => {
    admit(request, reply)
    done()
  })

  function admit(request: FastifyRequest, reply: FastifyReply): void {
    const { host } = request.headers
    if (onlyLocal && (host === undefined || host !== localName)) {
      if (!isLocalName(host, settings.host)) throw forbidden('HOST_FORBIDDEN', request)
      localName = host
    }
    if (isFromAnotherSite(request.headers)) throw forbidden('ORIGIN_FORBIDDEN', request)
    if (onlyLocal || request.routeOptions.config.open) return
    const role = roleOf(request.headers.authorization, settings)
    if (role === undefined) {
      reply.header('www-authenticate', 'Bearer')
      throw new HttpError('UNAUTHORIZED', 'the token is missing or wrong', {}, 'send it as: Authorization: Bearer …')
    }
    request.role = role
    if (role === 'read' && !READING.has(request.method) && !request.routeOptions.config.reads)
      throw new HttpError('READ_ONLY', 'this token may only read', {}, 'use one that may write')
  }
}

const READING: ReadonlySet<string> = new Set(['GET', 'HEAD'])

/** Both tokens are compared each time, so that the time it takes tells neither. */
function roleOf(authorization: string | undefined, { token, readToken }: GuardSettings): Role | undefined {
  const mayWrite = token !== undefined && bearsToken(authorization, token)
  const mayRead = readToken !== undefined && bearsToken(authorization, readToken)
  if (mayWrite) return 'write'
  return mayRead ? 'read' : undefined
}

/** Whether an address can be reached from this machine only. */
export function isLoopback(host: string): boolean {
  if (isIPv4(host)) return host.startsWith('127.')
  if (isIPv6(host)) return host === '::1'
  return host === 'localhost'
}

/**
 * Whether a `Host` header names this machine. A page on the web can point its own name at 127.0.0.1, and then reads
 * what is served there; its requests still carry that name.
 */
export function isLocalName(header: string | undefined, served: string): boolean {
  const name = header === undefined ? served : hostname(`http://${header}`)
  return name !== undefined && (name === served || isLoopback(name))
}

/**
 * Whether a browser sends this on behalf of a page of another site. Such a page may post plain text anywhere without
 * asking first, and plain text is SQL here. Programs send neither header.
 */
export function isFromAnotherSite(headers: FastifyRequest['headers']): boolean {
  const site = headers['sec-fetch-site']
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return true
  return headers.origin !== undefined && headers.origin.replace(/^https?:\/\//, '') !== headers.host
}

/** Compares in a time that tells nothing about the token. */
export function bearsToken(header: string | undefined, token: string): boolean {
  const shown = /^bearer +(.+)$/i.exec(header ?? '')?.[1] ?? ''
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(shown), digest(token))
}

function hostname(url: string): string | undefined {
  const name = URL.canParse(url) ? new URL(url).hostname : undefined
  return name?.replace(/^\[|\]$/g, '')
}

function forbidden(code: 'HOST_FORBIDDEN' | 'ORIGIN_FORBIDDEN', request: FastifyRequest): HttpError {
  if (code === 'ORIGIN_FORBIDDEN')
    return new HttpError(code, 'pages of other sites may not ask here', { origin: request.headers.origin })
  const hint = 'use localhost or 127.0.0.1, or serve with a token'
  return new HttpError(code, 'without a token only this machine may ask, by its own name', { host: request.headers.host }, hint)
}
