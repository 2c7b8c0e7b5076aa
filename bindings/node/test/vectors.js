'use strict'

// The shared vectors, as tests/vectors/README.md describes them. A new file needs a reader of its cases here and no more.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')

function read(name) {
  return JSON.parse(fs.readFileSync(path.join(__dirname, '../../../tests/vectors', name), 'utf8'))
}

/** Runs each case under its name; a list without cases proves nothing. */
function each(list, run) {
  assert.ok(list.length > 0)
  for (const item of list) {
    try {
      run(item)
    } catch (error) {
      error.message = `${item.name}: ${error.message}`
      throw error
    }
  }
}

/** The code that `work` throws with, or nothing when it does not throw. */
function codeOf(work) {
  try {
    work()
  } catch (error) {
    assert.equal(error.name, 'FlagbearerError', error.stack)
    return error.code
  }
}

module.exports = { read, each, codeOf }
