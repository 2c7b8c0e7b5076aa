// A Worker that reads tokens as an application's would: a POST of `{ options, token }`, or `{ options }` with the token as a
// bearer token, is answered with its flags, or with why there are none.

import { Flagbearer } from '@flagbearer/node/edge'

const readers = new Map()

/** Made once and kept, as it is to be. */
function readerOf(options) {
  const key = JSON.stringify(options)
  if (!readers.has(key)) readers.set(key, new Flagbearer(options))
  return readers.get(key)
}

export default {
  async fetch(request) {
    const { options, token } = await request.json()
    try {
      const flags = await readerOf(options).verify(token)
      return Response.json({ flags: flags.getAllFlags(), organization: flags.organization, state: flags.state })
    } catch ({ name, code, message, cause }) {
      return Response.json({ name, code, message, cause: String(cause) })
    }
  },
}
