import { Presets, SingleBar } from 'cli-progress'
import type { Progress } from '../../src/index.js'
import { humanBytes, humanCount } from './human.js'

/** Shows how far something long is, on stderr where that is a terminal, else nowhere. */
export interface ProgressBar {
  readonly show: (progress: Progress) => void
  /** Takes the bar off the screen; safe to repeat. */
  readonly end: () => void
}

export const noProgress: ProgressBar = { show: () => {}, end: () => {} }

/** Says nothing of what is over in a second. */
export function patient(bar: ProgressBar): ProgressBar {
  const startedAtMs = performance.now()
  return {
    show: (progress) => {
      if (performance.now() - startedAtMs >= 1000) bar.show(progress)
    },
    end: bar.end,
  }
}

export function progressBar(stream: NodeJS.WriteStream): ProgressBar {
  const format = (amount: number, unit: Progress['unit']) =>
    unit === 'bytes' ? humanBytes(amount) : `${humanCount(amount)} ${unit}`
  const bar = new SingleBar(
    {
      stream,
      clearOnComplete: true,
      hideCursor: true,
      fps: 8,
      format: (options, params, payload) => {
        const { phase, unit } = payload as Pick<Progress, 'phase' | 'unit'>
        const known = params.total > 0
        const filled = Math.round(Math.min(1, known ? params.progress : 0) * (options.barsize ?? 30))
        const blocks = '█'.repeat(filled) + '░'.repeat((options.barsize ?? 30) - filled)
        return `${phase} ${known ? `${blocks} ` : ''}${known ? `${format(params.value, unit).replace(` ${unit}`, '')} of ${format(params.total, unit)}` : format(params.value, unit)}`
      },
      barsize: 30,
    },
    Presets.shades_classic,
  )
  let isShown = false
  return {
    show: ({ phase, done, total = 0, unit }) => {
      if (!isShown) bar.start(total, done, { phase, unit })
      else {
        bar.setTotal(total)
        bar.update(done, { phase, unit })
      }
      isShown = true
    },
    end: () => {
      if (isShown) bar.stop()
      isShown = false
    },
  }
}
