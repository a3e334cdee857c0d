import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/** A producer on a connection of its own. It costs the process that it shares with the server half of what Node's HTTP client does. */
export class Producer {
  private readonly socket: Socket
  private readonly head: string
  private answered: { readonly resolve: () => void; readonly reject: (error: Error) => void } | undefined

  private constructor(socket: Socket, head: string) {
    this.socket = socket
    this.head = head
    let answer = ''
    socket.on('data', (bytes) => {
      answer += bytes.toString('latin1')
      const [headers = '', body] = answer.split('\r\n\r\n', 2)
      if (body === undefined || body.length < Number(/content-length: (\d+)/i.exec(headers)?.[1])) return
      const ok = answer.startsWith('HTTP/1.1 200 ')
      const said = answer
      answer = ''
      if (ok) this.answered?.resolve()
      else this.answered?.reject(new Error(said))
    })
    socket.on('error', (error) => this.answered?.reject(error))
  }

  static async connect(url: URL): Promise<Producer> {
    const socket = connect(Number(url.port), url.hostname)
    await once(socket, 'connect')
    socket.setNoDelay(true)
    return new Producer(socket, `POST ${url.pathname} HTTP/1.1\r\nhost: ${url.host}\r\ncontent-type: application/x-ndjson\r\n`)
  }

  /** Resolves when the rows are acknowledged. One at a time. */
  post(body: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.answered = { resolve, reject }
      this.socket.write(`${this.head}content-length: ${body.byteLength}\r\n\r\n`)
      this.socket.write(body)
    })
  }

  close(): void {
    this.socket.destroy()
  }
}
