'use strict'

// Verifies and reads ten million times, in threads that live throughout and in ones that come and go, and fails where memory,
// file descriptors or handles grow: `npm run soak`, after `npm run build`. `node bench/soak.js 200000` is a short one.

const { randomBytes } = require('node:crypto')
const { once } = require('node:events')
const fs = require('node:fs')
const v8 = require('node:v8')
const vm = require('node:vm')
const { isMainThread, parentPort, Worker } = require('node:worker_threads')
const { FlagbearerError } = require('../index.js')
const { TestIssuer } = require('../testing.js')

const ROUNDS = 20
/** Rounds at either end whose lowest figure counts: what is let go of comes back late, and what is leaked never does. */
const WINDOW = 5
/** MiB of resident memory. A leak of one byte in each verification would be ten of them. */
const MAY_GROW = 8
const LIVE_THROUGHOUT = 2

const FLAGS = { on: true, off: false, variant: 'b', limit: 5000, config: { model: 'large', max_tokens: 4096 } }
const COOKIE_PASSWORD = randomBytes(32).toString('hex')
const DAY = 86_400

const must = (holds, what) => {
  if (!holds) throw new Error(`the answer is wrong: ${what}`)
}

/** What an application does with its tokens all day. */
class Application {
  #issuer = new TestIssuer()
  #stranger = new TestIssuer()
  #reader
  #serial = 0
  // Verified again and again, and remembered.
  #busy = Array.from({ length: 200 }, () => this.#token())
  // More than are remembered, so that each is verified like the first time when its turn comes.
  #quiet = Array.from({ length: 1500 }, () => this.#token())

  #token(facts) {
    return this.#issuer.token({ flags: { ...FLAGS, limit: this.#serial++ }, expiresIn: DAY, organization: 'org_1', ...facts })
  }

  #refused = [
    ['TOKEN_MALFORMED', () => 'garbage'],
    ['SIGNATURE_INVALID', (serial) => `${this.#quiet[serial % this.#quiet.length].slice(0, -6)}AAAAAA`],
    ['KEY_UNKNOWN', () => this.#stranger.token()],
    ['TOKEN_EXPIRED', () => this.#token({ expiresIn: -60 })],
  ]

  /** Of each hundred: five tokens that never were before, ten that are forgotten, one sealed session, two refusals; repeats. */
  async verification(serial) {
    const turn = serial % 100
    // Another reader, for one process may have many.
    if (serial % 10_000 === 0) this.#reader = this.#issuer.flagbearer()
    if (turn < 2) return this.#refusal(serial)
    if (turn === 2) return this.#session(serial)
    // A copy, for every token comes in a request of its own.
    const copy = (token) => Buffer.from(token, 'latin1').toString('latin1')
    const hundreds = Math.floor(serial / 100)
    const token = turn < 8 ? this.#token() : turn < 18 ? this.#quiet[(hundreds * 10 + turn) % this.#quiet.length] : this.#busy[serial % 200]
    this.#read(await this.#reader.verify(copy(token)))
  }

  #read(flags) {
    must(flags.getBooleanFlag('on', false) && !flags.getBooleanFlag('off', true), 'a boolean flag')
    must(flags.getStringFlag('variant', 'a') === 'b', 'a string flag')
    must(flags.getIntegerFlag('limit', -1) >= 0, 'an integer flag')
    must(flags.getFlag('config', null, 'j').value.model === 'large', 'a JSON flag')
    must(flags.getFlag('gone', 1).errorCode === 'FLAG_NOT_FOUND', 'a flag that is not there')
  }

  async #refusal(serial) {
    const [code, make] = this.#refused[Math.floor(serial / 50) % this.#refused.length]
    const error = await this.#reader.verify(make(serial)).then(() => undefined, (error) => error)
    must(error instanceof FlagbearerError && error.code === code, `${error} instead of ${code}`)
  }

  async #session(serial) {
    const accessToken = this.#busy[serial % 200]
    const options = { cookiePassword: COOKIE_PASSWORD }
    const sessionData = this.#reader.sealSession({ accessToken, refreshToken: 'refresh' }, options)
    const { authenticated, flags } = await this.#reader.loadSealedSession({ sessionData, ...options }).authenticate()
    must(authenticated, 'a sealed session')
    this.#read(flags)
  }
}

async function work() {
  v8.setFlagsFromString('--expose-gc')
  const gc = vm.runInNewContext('gc')
  const application = new Application()
  let serial = 0
  parentPort.on('message', async (count) => {
    for (const end = serial + count; serial < end; ) {
      // Some at a time, as requests come.
      await Promise.all(Array.from({ length: Math.min(50, end - serial) }, () => application.verification(serial++)))
    }
    // What weak references and finalisers hold goes in the next task.
    await new Promise(setImmediate)
    gc()
    parentPort.postMessage(process.getActiveResourcesInfo().length)
  })
}

async function start() {
  const worker = new Worker(__filename)
  await once(worker, 'online')
  return worker
}

async function round(worker, count) {
  worker.postMessage(count)
  const [handles] = await once(worker, 'message')
  return handles
}

async function main() {
  const total = Number(process.argv[2] ?? 1e7)
  const share = Math.ceil(total / ROUNDS / (LIVE_THROUGHOUT + 1))
  if (!(share > 0)) throw new Error('give the number of verifications, such as 200000')
  const workers = await Promise.all(Array.from({ length: LIVE_THROUGHOUT }, start))
  const figures = []
  const begin = Date.now()
  for (let done = 1; done <= ROUNDS; done++) {
    const passing = await start()
    const handles = await Promise.all([...workers, passing].map((worker) => round(worker, share)))
    await passing.terminate()
    const figure = {
      rss: process.memoryUsage.rss() / 2 ** 20,
      descriptors: fs.existsSync('/proc/self/fd') ? fs.readdirSync('/proc/self/fd').length : 0,
      handles: handles.reduce((sum, count) => sum + count, process.getActiveResourcesInfo().length),
    }
    figures.push(figure)
    const verified = (done * share * (LIVE_THROUGHOUT + 1)).toLocaleString('en')
    const { rss, descriptors } = figure
    const seconds = (Date.now() - begin) / 1000
    console.log(`${verified.padStart(10)} verified after ${seconds.toFixed(0).padStart(4)} s: ${rss.toFixed(1).padStart(6)} MiB, ${descriptors} file descriptors, ${figure.handles} handles`)
  }
  await Promise.all(workers.map((worker) => worker.terminate()))

  // The first half warms up: in a short run heaps and memories fill for that long.
  const warm = figures.slice(ROUNDS / 2, ROUNDS / 2 + WINDOW)
  const last = figures.slice(-WINDOW)
  const growth = (name) => Math.min(...last.map((figure) => figure[name])) - Math.min(...warm.map((figure) => figure[name]))
  const { user, system } = process.cpuUsage()
  console.log(`${growth('rss').toFixed(1)} MiB, ${growth('descriptors')} file descriptors and ${growth('handles')} handles more; ${((user + system) / 1e6).toFixed(0)} s of CPU`)
  if (growth('rss') > MAY_GROW || growth('descriptors') > 0 || growth('handles') > 0) {
    console.error(`something leaks: at most ${MAY_GROW} MiB, no file descriptor and no handle may be added`)
    process.exitCode = 1
  }
}

if (isMainThread) main()
else work()
