'use strict'

// What flag sets are read under, while their reader follows the watermark.

const { unpack } = require('./tables.js')

/** The tables' order. */
const TYPES = ['boolean', 'string', 'integer', 'json']

/** What the newest watermark overrules of tokens of one revision: killed flags, and whether they are too old. */
class Overruled {
  constructor(text) {
    const tables = text.split('\u001e')
    this.stale = tables.pop() === 'true'
    this.killed = new Map()
    tables.forEach((table, i) => {
      for (const [key, value] of unpack(table)) this.killed.set(key, { type: TYPES[i], value })
    })
  }
}

/** What flag sets are read under. Reading asks nobody: what holds for a revision is unpacked once for each watermark. */
class Watermark {
  #native
  #byRevision = new Map()

  /** `native` answers `overruled(revision)` and `stateOf(revision, now)`. */
  constructor(native) {
    this.#native = native
  }

  of(revision) {
    let found = this.#byRevision.get(revision)
    if (found === undefined) {
      const text = this.#native.overruled(revision)
      found = text == null ? null : new Overruled(text)
      this.#byRevision.set(revision, found)
    }
    return found
  }

  stateOf(revision) {
    return this.#native.stateOf(revision, Date.now())
  }

  /** Something came, and may say otherwise. */
  renew() {
    this.#byRevision.clear()
  }
}

module.exports = { Watermark }
