'use strict'

// A short one; the long one is for people to run. It fails by itself where something grows.

const { test } = require('node:test')
const { execFileSync } = require('node:child_process')
const path = require('node:path')

test('verifying and reading, in threads that stay and threads that go, needs no more memory and no more handles', (t) => {
  const soak = path.join(__dirname, '../bench/soak.js')
  const printed = execFileSync(process.execPath, [soak, '200000'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
  t.diagnostic(printed.trimEnd().split('\n').at(-1))
})
