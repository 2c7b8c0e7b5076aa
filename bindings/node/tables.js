'use strict'

// What the core hands over of flags, and how it is kept on this side.

/** A value that one reader changes must not change for the next. */
function freeze(value) {
  if (typeof value === 'object' && value !== null) {
    for (const member of Object.values(value)) freeze(member)
    Object.freeze(value)
  }
  return value
}

/** A table of the core's: an array in which key and value alternate. */
function unpack(text) {
  const list = JSON.parse(text)
  const table = new Map()
  for (let i = 0; i < list.length; i += 2) table.set(list[i], freeze(list[i + 1]))
  return table
}

module.exports = { freeze, unpack }
