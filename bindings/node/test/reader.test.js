'use strict'

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { once } = require('node:events')
const { Worker } = require('node:worker_threads')
const reader = require('@flagbearer/node')
const { flagSetOfClaim } = require('@flagbearer/node/testing')
const { readerBehaves } = require('./reader_behaviour.js')

readerBehaves('', { ...reader, flagSetOfClaim })

test('worker threads verify and read each for itself, with one addon', async (t) => {
  const body = `
    const { parentPort } = require('node:worker_threads')
    const { TestIssuer } = require('@flagbearer/node/testing')
    ;(async () => {
      const issuer = new TestIssuer()
      const reader = issuer.flagbearer()
      let sum = 0
      for (let number = 0; number < 500; number++) {
        sum += (await reader.verify(issuer.token({ flags: { number } }))).getIntegerFlag('number', -1)
      }
      parentPort.postMessage(sum)
    })()`
  const sums = await Promise.all(Array.from({ length: 4 }, async () => {
    const worker = new Worker(body, { eval: true })
    const [[sum]] = await Promise.all([once(worker, 'message'), once(worker, 'exit')])
    return sum
  }))
  assert.deepEqual(sums, Array(4).fill((499 * 500) / 2))
})
