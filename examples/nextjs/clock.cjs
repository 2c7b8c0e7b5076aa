// For the test: a clock that is as many seconds ahead as stands in a file, so that nobody has to wait for a token to expire.

const { readFileSync } = require('node:fs')

const { now } = Date
const ahead = () => {
  try {
    return Number(readFileSync(process.env.CLOCK_AHEAD, 'utf8')) * 1000
  } catch {
    return 0
  }
}
Date.now = () => now() + ahead()
