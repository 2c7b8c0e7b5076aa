'use strict'

// Asking an issuer for tokens. What is sent, and what an answer means, the core decides.

const { whole } = require('./body.js')

/** A POST, and what came: nothing where none did. */
async function post(fetch, { url, contentType, body, timeoutMilliseconds, maxBytes }) {
  try {
    const response = await fetch(url, {
      method: 'POST',
      body,
      signal: AbortSignal.timeout(timeoutMilliseconds),
      redirect: 'manual',
      headers: { accept: 'application/json', 'content-type': contentType },
    })
    const answer = (await whole(response.body ?? [], maxBytes)) ?? undefined
    return [response.status, response.headers.get('retry-after') ?? undefined, answer]
  } catch {
    return []
  }
}

/** The most sessions whose issuer is being left alone that are remembered. */
const MAX_WAITING = 10_000

/** The core's longest, in milliseconds. */
const LONGEST_PAUSE = 60_000

/** Refreshes under way, and those that came to nothing a moment ago. One at a time for a refresh token. */
class Refreshes {
  #byToken = new Map()

  /** What `ask` answers, or answered to somebody else who is still waiting or is to leave the issuer alone. */
  once(key, ask) {
    const known = this.#byToken.get(key)
    if (known !== undefined && (known.until === undefined || this.#isWaiting(known))) return known.answer
    const entry = { answer: undefined, until: undefined }
    entry.answer = ask().then((answer) => {
      if (answer.code === 'ISSUER_UNAVAILABLE') this.#wait(key, entry, Date.now() + answer.retrySeconds * 1000)
      else this.#byToken.delete(key)
      return answer
    })
    this.#byToken.set(key, entry)
    return entry.answer
  }

  /** A clock that was set back must not stretch a pause. */
  #isWaiting({ until }) {
    const left = until - Date.now()
    return left > 0 && left <= LONGEST_PAUSE
  }

  #wait(key, entry, until) {
    entry.until = until
    const now = Date.now()
    for (const [other, { until }] of this.#byToken) {
      if (until <= now || this.#byToken.size > MAX_WAITING) this.#byToken.delete(other)
      else break
    }
    // Behind the others, so that the oldest are forgotten first.
    this.#byToken.delete(key)
    this.#byToken.set(key, entry)
  }

  /** In how many seconds the issuer may be asked again. */
  retryAfter(key) {
    const until = this.#byToken.get(key)?.until ?? 0
    return Math.max(Math.ceil((until - Date.now()) / 1000), 1)
  }
}

module.exports = { Refreshes, post }
