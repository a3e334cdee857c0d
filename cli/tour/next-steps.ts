import type { Settings } from '../settings.js'

/** What to try once a lakehouse is served: lines for a shell, which work as they stand. */
export function nextSteps(url: string, settings: Settings, table: string): string {
  const auth = settings.token === undefined ? '' : ' -H "authorization: Bearer $DELTAIC_TOKEN"'
  const hasPageViews = table === 'page_views'
  const query = hasPageViews
    ? `SELECT url, count(*) AS views FROM page_views GROUP BY url ORDER BY views DESC LIMIT 5`
    : `SELECT * FROM "${table.replaceAll('"', '""')}" LIMIT 5`
  const sql = (statement: string, accept: string) =>
    `  curl -s ${url}/v1/sql${auth} -H 'content-type: text/plain' -H 'accept: ${accept}' --data-binary ${shellQuote(statement)}`
  const row = '{"viewed_at":"2026-11-02T09:00:00Z","url":"/hello","user_id":1,"status":200,"bytes":512,"referrer":null}'
  const steps: readonly (readonly [string, string])[] = [
    ['The top pages, as a table or as lines of JSON:', sql(query, 'text/plain')],
    ['', sql(query, 'application/x-ndjson')],
    ...(hasPageViews
      ? ([
          ['As of an earlier version:', sql('SELECT count(*) AS views FROM page_views VERSION AS OF 10', 'text/plain')],
          [
            'A view of your own:',
            `  curl -s ${url}/v1/tables/page_views/rows${auth} -H 'content-type: application/x-ndjson' --data-binary ${shellQuote(row)}`,
          ],
        ] as const)
      : []),
    ['What happened, and the whole API:', `  curl -s '${url}/v1/tables/${encodeURIComponent(table)}/history?limit=3'${auth}`],
    ['', `  curl -s ${url}/openapi.json${auth}`],
  ]
  const lines = steps.flatMap(([title, line]) => (title === '' ? [line] : [title, line]))
  return `\nServing at ${url} until Ctrl-C. In another terminal:\n\n${lines.join('\n')}\n`
}

function shellQuote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
