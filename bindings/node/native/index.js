'use strict'

// Loads the prebuilt addon of this platform. Written by hand: napi's generated loader is 36 KB, and lets an environment
// variable name any library to be loaded into the process that checks tokens.

const fs = require('node:fs')

const { platform, arch } = process

function abi() {
  if (platform === 'win32') return '-msvc'
  if (platform !== 'linux') return ''
  process.report.excludeNetwork = true
  return process.report.getReport().header.glibcVersionRuntime ? '-gnu' : '-musl'
}

const target = `${platform}-${arch}${abi()}`

function problem(cause) {
  const built = fs.readdirSync(__dirname).flatMap((name) => /^flagbearer\.(.+)\.node$/.exec(name)?.[1] ?? [])
  if (built.includes(target)) return `the addon of @flagbearer/native for \`${target}\` could not be loaded: ${cause.message}`
  const others = built.length === 0 ? 'nor for any other platform' : `only for \`${built.join('`, `')}\``
  const remedy = 'on such a machine, run `npm ci && npm run build && npm pack` in bindings/node of its sources, and install what that packs'
  return `@flagbearer/native has no addon for \`${target}\`, ${others}: ${remedy}`
}

try {
  module.exports = require(`./flagbearer.${target}.node`)
} catch (cause) {
  throw new Error(problem(cause), { cause })
}
