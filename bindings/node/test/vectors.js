'use strict'

// The shared vectors, as tests/vectors/README.md describes them. Those for readers are in `reader_vectors.js`.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { VectorFiles } = require('./vector_files.js')

const FOLDER = path.join(__dirname, '../../../tests/vectors')

/** Every file, by its name. */
function readFiles() {
  const names = fs.readdirSync(FOLDER).filter((name) => name.endsWith('.json'))
  return Object.fromEntries(names.map((name) => [name, JSON.parse(fs.readFileSync(path.join(FOLDER, name), 'utf8'))]))
}

const files = new VectorFiles(readFiles())
const read = (name) => files.read(name)
/** What this process has not read, as `<file>.<list>`. */
const unread = () => files.unread

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

module.exports = { each, read, readFiles, unread }
