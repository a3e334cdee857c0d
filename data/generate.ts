// Writes the committed sample: node dist/data/generate.js [FILE]
import { writeFileSync } from 'node:fs'
import { accessLogSample } from './access-log.js'

const file = process.argv[2] ?? 'data/access.log'
writeFileSync(file, accessLogSample())
process.stderr.write(`wrote ${file}\n`)
