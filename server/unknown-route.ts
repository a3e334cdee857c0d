import type { FastifyInstance } from 'fastify'
import { HttpError } from './errors.js'

interface KnownRoute {
  readonly methods: readonly string[]
  readonly path: RegExp
}

/** A path that is not there is 404; one that is there for other methods 405, naming them. Call it before the routes. */
export function answerUnknownRoutes(app: FastifyInstance): void {
  const routes: KnownRoute[] = []
  app.addHook('onRoute', ({ method, url }) => {
    routes.push({ methods: [method].flat(), path: new RegExp(`^${url.replaceAll('.', '\\.').replaceAll(/:\w+/g, '[^/]+')}$`) })
  })
  app.setNotFoundHandler((request, reply) => {
    const [path = ''] = request.url.split('?')
    const allowed = routes.filter((route) => route.path.test(path)).flatMap(({ methods }) => methods)
    if (allowed.length === 0) throw new HttpError('ROUTE_NOT_FOUND', 'there is nothing here', { path }, 'see /openapi.json')
    reply.header('allow', allowed.join(', '))
    throw new HttpError('METHOD_NOT_ALLOWED', 'this path takes other methods', { method: request.method, allowed })
  })
}
