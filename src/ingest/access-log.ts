import { ident, literal } from '../engine/sql-text.js'
import { duckdbType } from '../engine/types.js'
import { field, type StructField } from '../protocol/schema.js'
import type { InputField } from '../table/row-columns.js'
import type { InputFormat } from './formats.js'
import { lines, missingOf, type RowReader, required } from './readers.js'

/** Apache's common and combined formats, and nginx's `main`, which says too for whom a proxy asked. */
export type AccessLogFormat = 'clf' | 'combined' | 'nginx'

const FIELDS: readonly StructField[] = [
  field('time', 'timestamp'),
  field('address', 'string'),
  field('remote_user', 'string'),
  field('method', 'string'),
  field('path', 'string'),
  field('query', 'string'),
  field('protocol', 'string'),
  field('status', 'integer'),
  field('bytes', 'long'),
  field('referrer', 'string'),
  field('user_agent', 'string'),
]

const QUOTED = '"((?:[^"\\\\]|\\\\.)*)"'
const COMMON = `^(\\S+) (\\S+) (.+?) \\[([^\\]]+)\\] ${QUOTED} (\\d{3}) (\\d+|-)`

/** What follows the bytes, each in quotes, and may be left out at the end where it is optional. */
const AFTER: Readonly<Record<AccessLogFormat, { readonly names: readonly string[]; readonly optional: readonly string[] }>> = {
  clf: { names: [], optional: [] },
  combined: { names: ['referrer', 'user_agent'], optional: [] },
  nginx: { names: ['referrer', 'user_agent'], optional: ['forwarded_for'] },
}
const GROUPS = ['address', 'ident', 'remote_user', 'time', 'request', 'status', 'bytes']

export function isAccessLog(format: InputFormat): format is AccessLogFormat {
  return format in AFTER
}

/** The columns of an access log: the same for the formats, and one more for nginx. */
export function accessLogFields(format: AccessLogFormat): readonly StructField[] {
  return [...FIELDS, ...AFTER[format].optional.map((name) => field(name, 'string'))]
}

/**
 * A web server's access log. `-` is NULL; the request splits into method, path, query and protocol, and one that has
 * no such parts is kept whole as the path.
 */
export function accessLogReader(file: string, fields: readonly InputField[], format: AccessLogFormat): RowReader {
  const { names, optional } = AFTER[format]
  const pattern = `${COMMON}${names.map(() => ` ${QUOTED}`).join('')}${optional.map(() => `(?: ${QUOTED})?`).join('')}\\s*$`
  const groups = [...GROUPS, ...names, ...optional]
  const value = (name: string) => (groups.includes(name) ? `nullif(m.${ident(name)}, '-')` : 'NULL')
  const parsed: Readonly<Record<string, string>> = {
    time: 't',
    address: value('address'),
    remote_user: value('remote_user'),
    method: "nullif(q.method, '')",
    path: "coalesce(nullif(q.path, ''), nullif(m.request, '-'))",
    query: "nullif(q.query, '')",
    protocol: "nullif(q.protocol, '')",
    status: 'TRY_CAST(m.status AS INTEGER)',
    bytes: `TRY_CAST(${value('bytes')} AS BIGINT)`,
    referrer: value('referrer'),
    user_agent: value('user_agent'),
    // The engine does not tell a group that is not there from an empty one.
    ...Object.fromEntries(optional.map((name) => [name, `nullif(${value(name)}, '')`])),
  }
  const request = `regexp_extract(m.request, '^([A-Z]+) ([^ ?]+)(?:\\?(\\S*))?(?: (HTTP/[0-9.]+))?$', ['method', 'path', 'query', 'protocol'])`
  const members = fields.map((f) => `${ident(f.name)} := (${parsed[f.name] ?? missingOf(f)})::${duckdbType(f.type)}`)
  const there = required(fields, Object.keys(parsed)).map((f) => ` AND (${parsed[f.name] ?? 'NULL'}) IS NOT NULL`)
  const r = `CASE WHEN matched AND t IS NOT NULL${there.join('')} THEN struct_pack(${members.join(', ')}) END`
  return {
    sql:
      `SELECT r, CASE WHEN r IS NULL THEN line END AS raw FROM (SELECT line, ${r} AS r FROM (SELECT *, ${request} AS q, ` +
      "try_strptime(m.time, '%d/%b/%Y:%H:%M:%S %z') AS t FROM (SELECT line, regexp_matches(line, $pattern$" +
      `${pattern}$pattern$) AS matched, regexp_extract(line, $pattern$${pattern}$pattern$, [${groups.map(literal).join(', ')}]) AS m ` +
      `FROM ${lines(file)})))`,
    firstLine: 1,
  }
}

/** Why a line is no row, in words. */
export function accessLogReason(raw: string, format: AccessLogFormat): string {
  const time = 'its time is not like [17/May/2015:10:05:03 +0000]'
  if (!/^\S+ \S+ .+? \[[^\]]+\]/.test(raw)) return 'no address and [time] at its beginning'
  if (!/^\S+ \S+ .+? \[\d{2}\/[A-Z][a-z]{2}\/\d{4}:\d{2}:\d{2}:\d{2} [+-]\d{4}\]/.test(raw)) return time
  const common = /^.+?\] "(?:[^"\\]|\\.)*" \d{3} (?:\d+|-)/.exec(raw)?.[0]
  if (common === undefined) return 'no "request", status and bytes after its time'
  const rest = raw.slice(common.length).trimEnd()
  if (format === 'clf' && rest !== '') return 'more text after its bytes'
  const { names, optional } = AFTER[format]
  const quoted = / "(?:[^"\\]|\\.)*"/.source
  if (!new RegExp(`^(?:${quoted}){${names.length},${names.length + optional.length}}$`).test(rest))
    return `no "referrer" and "user agent"${optional.length > 0 ? ', and at most "forwarded for" after them,' : ''} at its end`
  return `${time}, or it lacks a value that must be there`
}
