'use strict'

// Following the watermark: the network and the timers that the core's follower asks for. What to do when, and what to
// believe, the core decides.

const http = require('node:http')
const https = require('node:https')
const { whole } = require('./body.js')

/** A GET whose connection does not keep the process from ending, which no `fetch` can be told. */
function quietGet(url, { signal, headers }) {
  return new Promise((resolve, reject) => {
    const request = (url.startsWith('https:') ? https : http).get(url, { signal, headers, agent: false }, (response) => {
      resolve({ status: response.statusCode, headers: { get: (name) => response.headers[name] ?? null }, body: response })
    })
    request.on('socket', (socket) => socket.unref())
    request.on('error', reject)
  })
}

/** Longer than any pause of the core's; a clock that was set back must not stretch one. */
const LONGEST_PAUSE = 60_000

class Follower {
  #reader
  #watermark
  #fetch
  #fetchKeys
  #timer
  /** When the timer ends; endless where there is none. */
  #wakesAt = Infinity
  #underWay
  #closed = false

  /** `fetchKeys` resolves once the core has what it can get. */
  constructor(reader, watermark, fetch, fetchKeys) {
    this.#reader = reader
    this.#watermark = watermark
    this.#fetch = fetch ?? quietGet
    this.#fetchKeys = fetchKeys
    this.#next()
  }

  close() {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#underWay?.abort()
  }

  /** Does what the core says, and comes back when it says. */
  #next() {
    while (!this.#closed) {
      const step = this.#reader.pollWatermark(Date.now())
      if (step.until !== undefined) {
        this.#wake(step.until)
        return
      }
      if (step.url === undefined) {
        void this.#fetchKeys().then(() => this.#next())
        return
      }
      // What was under way before is given up.
      this.#underWay?.abort()
      this.#underWay = new AbortController()
      void this.#take(step, this.#underWay)
    }
  }

  /** Comes back at that time. A timer that ends before is left to it: each piece of a stream puts the time off. */
  #wake(until) {
    if (this.#wakesAt <= until) return
    clearTimeout(this.#timer)
    const pause = Math.min(Math.max(until - Date.now(), 1), LONGEST_PAUSE)
    this.#wakesAt = until
    this.#timer = setTimeout(() => {
      this.#wakesAt = Infinity
      this.#next()
    }, pause).unref()
  }

  #came(work) {
    if (this.#closed) return
    work(Date.now())
    this.#watermark.renew()
    this.#next()
  }

  async #take({ id, url, stream, etag, timeoutMilliseconds, maxBytes }, controller) {
    const { signal } = controller
    const headers = { accept: stream ? 'text/event-stream' : 'application/jwt, application/json' }
    if (etag !== undefined) headers['if-none-match'] = etag
    // A stream lasts; the core says when it has been silent for too long.
    const limit = stream ? undefined : setTimeout(() => controller.abort(), timeoutMilliseconds).unref()
    try {
      const response = await this.#fetch(url, { signal, headers, redirect: 'error', credentials: 'omit' })
      if (response.status === 304) {
        this.#came((now) => this.#reader.watermarkUnmodified(id, now))
      } else if (response.status === 200 && stream) {
        for await (const chunk of response.body) {
          if (signal.aborted) break
          this.#came((now) => this.#reader.watermarkBytes(id, chunk, now))
        }
      } else if (response.status === 200) {
        const body = await whole(response.body, maxBytes)
        const tag = response.headers.get('etag') ?? undefined
        if (body !== undefined) this.#came((now) => this.#reader.watermarkBody(id, body, tag, now))
      }
    } catch {
      // Whatever it was: it came to nothing.
    } finally {
      clearTimeout(limit)
      controller.abort()
    }
    // The core passes over what is said of a step that has come to its end already.
    this.#came((now) => this.#reader.watermarkFailed(id, now))
  }
}

module.exports = { Follower }
