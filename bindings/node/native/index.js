'use strict'

// Loads the prebuilt addon of this platform. Written by hand: napi's generated loader is 36 KB, and lets an environment
// variable name any library to be loaded into the process that checks tokens.

const { platform, arch } = process

function abi() {
  if (platform === 'win32') return '-msvc'
  if (platform !== 'linux') return ''
  process.report.excludeNetwork = true
  return process.report.getReport().header.glibcVersionRuntime ? '-gnu' : '-musl'
}

const file = `./flagbearer.${platform}-${arch}${abi()}.node`

try {
  module.exports = require(file)
} catch (cause) {
  throw new Error(`@flagbearer/native has nothing for this platform: ${file} could not be loaded`, { cause })
}
