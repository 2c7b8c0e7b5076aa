'use strict'

// The files of shared vectors in the hands of a runner, which is held to all of them: what it does not read it has to name, so that
// nothing new goes unnoticed. With nothing of Node's, for runners elsewhere.

/** What no runner over the edge's module has, and why. */
const NOT_THE_EDGES = {
  'audiences': 'settings are judged by servers, and where they are tested',
  'claims.encode': 'claims are written by issuers',
  'effects': 'settings are judged by servers, and where they are tested',
  'evaluation': 'flags are evaluated by servers, and where they are tested',
  'fixture-30': 'what speed is measured with',
  'rollouts': 'flags are evaluated by servers, and where they are tested',
  'sealed_sessions': 'cookies are sealed with the cryptography of Node',
  'token_answers': 'no tokens are asked for at the edge',
  'tokens.private_keys': 'what the file is written with',
  'watermarks': 'no watermark is followed at the edge',
}

/** Files by name. Every list in them that is read is noted. */
class VectorFiles {
  #files
  #unread

  constructor(files) {
    this.#files = files
    const isList = (value) => typeof value === 'object'
    const lists = ([name, file]) => Object.keys(file).filter((list) => isList(file[list])).map((list) => named(name, list))
    this.#unread = new Set(Object.entries(files).flatMap(lists))
  }

  read(name) {
    return new Proxy(this.#files[name], {
      get: (file, list) => {
        this.#unread.delete(named(name, list))
        return file[list]
      },
    })
  }

  /** As `<file>.<list>`. */
  get unread() {
    return [...this.#unread]
  }
}

const named = (file, list) => `${file.replace(/\.json$/, '')}.${list}`

/** That what was not read is what is not for this runner, by file or by list, no more and no less. */
function assertAllRead(assert, unread, notOurs) {
  const known = (list) => [list, list.split('.')[0]].find((name) => name in notOurs) ?? list
  assert.deepEqual([...new Set(unread.map(known))].sort(), Object.keys(notOurs).sort())
}

module.exports = { NOT_THE_EDGES, VectorFiles, assertAllRead }
