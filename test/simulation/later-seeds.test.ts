import { simulateHalf } from './seeds.js'

await simulateHalf(1)
