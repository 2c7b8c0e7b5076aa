'use strict'

// For Node, and whatever else reads files as Node does.

const { readFileSync } = require('node:fs')
const { join } = require('node:path')
const edge = require('./edge.js')

const { Flagbearer, FlagSet, FlagbearerError } = edge(new WebAssembly.Module(readFileSync(join(__dirname, 'flagbearer.wasm'))))

module.exports = { Flagbearer, FlagSet, FlagbearerError }
