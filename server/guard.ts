import { createHash, timingSafeEqual } from 'node:crypto'
import { isIPv4, isIPv6 } from 'node:net'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { HttpError } from './errors.js'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Answered without a token. */
    readonly open?: boolean
  }
}

interface GuardSettings {
  readonly host: string
  readonly token: string | undefined
}

/** Lets a request in, or says why not, before anything of its body is read. */
export function guardRequests(app: FastifyInstance, settings: GuardSettings): void {
  const onlyLocal = settings.token === undefined
  app.addHook('onRequest', async (request, reply) => {
    if (onlyLocal && !isLocalName(request.headers.host, settings.host)) throw forbidden('HOST_FORBIDDEN', request)
    if (isFromAnotherSite(request.headers)) throw forbidden('ORIGIN_FORBIDDEN', request)
    if (settings.token === undefined || request.routeOptions.config.open) return
    if (bearsToken(request.headers.authorization, settings.token)) return
    reply.header('www-authenticate', 'Bearer')
    throw new HttpError('UNAUTHORIZED', 'the token is missing or wrong', {}, 'send it as: Authorization: Bearer …')
  })
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
