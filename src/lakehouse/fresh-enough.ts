import { DeltaError } from '../base/errors.js'
import type { SqlOptions } from './options.js'
import type { TableHost } from './table-host.js'

/** A host whose tables are at least at these versions, wherever a query does not name another one. Letter case does not count. */
export function freshEnough(host: TableHost, minVersions: SqlOptions['minVersions']): TableHost {
  if (minVersions === undefined) return host
  const wanted = new Map(Object.entries(minVersions).map(([table, version]) => [table.toLowerCase(), version]))
  return {
    ...host,
    pin: async (request, signal) => {
      const pinned = await host.pin(request, signal)
      const minVersion = wanted.get(request.name.toLowerCase())
      const isNewest = request.version === undefined && request.timestampMs === undefined
      if (!pinned || minVersion === undefined || !isNewest || pinned.snapshot.version >= minVersion) return pinned
      throw new DeltaError(
        'VERSION_NOT_REACHED',
        'the table is not at this version yet',
        { table: request.name, minVersion, latest: pinned.snapshot.version },
        { hint: 'ask again once it has been committed' },
      )
    },
  }
}
