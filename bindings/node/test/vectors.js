'use strict'

// The shared vectors, as tests/vectors/README.md describes them. Those for readers are in `reader_vectors.js`.

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

module.exports = { read, each }
