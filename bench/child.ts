import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** What a script of `bench/` answers to one message, in a process of its own. */
export async function inChild<T>(script: string, asked: object): Promise<T> {
  const child = fork(fileURLToPath(new URL(script, import.meta.url)))
  child.send(asked)
  const [answer] = await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(([code]) => {
      throw new Error(`${script} ended with ${String(code)}`)
    }),
  ])
  return answer as T
}
