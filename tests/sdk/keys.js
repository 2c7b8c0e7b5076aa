// The keys that an SDK checks tokens with stand beside those of our own algorithms, which it does not know, and must not mind.

import assert from 'node:assert/strict'

export async function standBesideOurs(jwks) {
  const { keys } = await (await fetch(jwks)).json()
  assert.deepEqual(keys.map(({ alg }) => alg).sort(), ['ES256', 'EdDSA', 'RS256'])
}
