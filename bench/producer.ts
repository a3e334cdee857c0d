import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export const PRODUCERS = 16

/** The columns of what `generatePageViews` makes. */
export const VIEW_COLUMNS = [
  { name: 'viewed_at', type: 'TIMESTAMP' },
  { name: 'url', type: 'STRING' },
  { name: 'user_id', type: 'BIGINT' },
  { name: 'status', type: 'INT' },
  { name: 'bytes', type: 'BIGINT' },
  { name: 'referrer', type: 'STRING' },
]

interface Unanswered {
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

const [HEAD_END, OK] = [Buffer.from('\r\n\r\n'), 'HTTP/1.1 200 ']

/** A producer on a connection of its own. It costs the process that it shares with the server half of what Node's HTTP client does. */
export class Producer {
  private readonly socket: Socket
  private readonly head: string
  private readonly unanswered: Unanswered[] = []
  private came: Buffer = Buffer.alloc(0)

  private constructor(socket: Socket, head: string) {
    this.socket = socket
    this.head = head
    socket.on('data', (bytes) => this.read(bytes))
    socket.on('error', (error) => {
      for (const { reject } of this.unanswered.splice(0)) reject(error)
    })
  }

  static async connect(url: URL): Promise<Producer> {
    const socket = connect(Number(url.port), url.hostname)
    await once(socket, 'connect')
    socket.setNoDelay(true)
    return new Producer(socket, `POST ${url.pathname} HTTP/1.1\r\nhost: ${url.host}\r\ncontent-type: application/x-ndjson\r\n`)
  }

  /** Resolves when the rows are acknowledged. Those that are given meanwhile go down the line behind it. */
  post(body: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.unanswered.push({ resolve, reject })
      this.socket.cork()
      this.socket.write(`${this.head}content-length: ${body.byteLength}\r\n\r\n`)
      this.socket.write(body)
      this.socket.uncork()
    })
  }

  close(): void {
    this.socket.destroy()
  }

  private read(bytes: Buffer): void {
    this.came = this.came.length === 0 ? bytes : Buffer.concat([this.came, bytes])
    for (;;) {
      const headEnd = this.came.indexOf(HEAD_END)
      if (headEnd < 0) return
      const head = this.came.toString('latin1', 0, headEnd)
      const end = headEnd + HEAD_END.length + Number(/content-length: (\d+)/i.exec(head)?.[1])
      if (this.came.length < end) return
      const answered = this.unanswered.shift()
      if (head.startsWith(OK)) answered?.resolve()
      else answered?.reject(new Error(this.came.toString('latin1', 0, end)))
      this.came = this.came.subarray(end)
    }
  }
}

/**
 * Has posts made by connections, each of which makes the next one when one of its own is answered.
 *
 * @param inFlight how many of its posts a connection leaves unanswered.
 * @param connections how many there are.
 * @returns the seconds it took.
 */
export async function postAll(url: URL, posts: readonly Uint8Array[], inFlight = 1, connections = PRODUCERS): Promise<number> {
  const producers = await Promise.all(Array.from({ length: connections }, () => Producer.connect(url)))
  let next = 0
  const produce = async (producer: Producer) => {
    while (next < posts.length) await producer.post(posts[next++] as Uint8Array)
  }
  const started = performance.now()
  await Promise.all(producers.flatMap((producer) => Array.from({ length: inFlight }, () => produce(producer))))
  const took = (performance.now() - started) / 1000
  for (const producer of producers) producer.close()
  return took
}
