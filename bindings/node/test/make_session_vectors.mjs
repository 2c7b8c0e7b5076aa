// Writes tests/vectors/sealed_sessions.json with iron-webcrypto, so that our seals are not compared with themselves:
// `node test/make_session_vectors.mjs`. Its random bytes are the vectors' own.

import { createHmac } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import * as iron from 'iron-webcrypto'

const NOW = 1_790_000_000
const FIRST = '8d1f6b2ac05e4973f7a3d9e0b164c852'
const SECOND = 'Zq3!vN8@rT5#wX1$yB6%uK9^mP2&jL4*'

let bytes = 0
/** Bytes that look random and are the same each time. */
const random = () => Buffer.concat([0, 1, 2].map((i) => createHmac('sha256', 'vectors').update(`${bytes}.${i}`).digest())).subarray(0, 80)

/** Seals as WorkOS's SDK does; with bytes of salt, of the second salt, and of the initialisation vector. */
async function seal(text, { id = '1', password = FIRST, expires, suffix = '~2' } = {}) {
  bytes += 1
  const source = random()
  const given = [source.subarray(64), source.subarray(0, 32), source.subarray(32, 64)]
  const { getRandomValues } = crypto
  crypto.getRandomValues = (array) => (array.set(given.shift()), array)
  const options = { ...iron.defaults, encode: (text) => text }
  const { now } = Date
  Date.now = () => NOW * 1000
  if (expires !== undefined) options.ttl = expires - NOW * 1000
  try {
    const sealed = (await iron.seal(text, { id, secret: password }, options)) + suffix
    return { random: source.toString('hex'), sealed }
  } finally {
    crypto.getRandomValues = getRandomValues
    Date.now = now
  }
}

const SESSION = JSON.stringify({ accessToken: 'eyJ.eyJ.x', refreshToken: 'fbr_1.s.0.x', user: { id: 'user_1', email: 'ä@example.com' } })
const ONE = { 1: FIRST }
const BOTH = { 1: FIRST, 2: SECOND }

const sealing = []
for (const [name, text, passwords] of [
  ['a session', SESSION, ONE],
  ['an empty text', '', ONE],
  ['a text of exactly one block', '0123456789abcdef', ONE],
  ['text beyond ASCII', '"Grüße, 世界 🚀"', ONE],
  ['of two passwords the one with the highest id', SESSION, BOTH],
]) {
  const id = Object.keys(passwords).at(-1)
  sealing.push({ name, passwords, text, ...(await seal(text, { id, password: passwords[id] })) })
}

const plain = (await seal(SESSION)).sealed
const parts = (change) => {
  const list = plain.slice(0, -2).split('*')
  change(list)
  return `${list.join('*')}~2`
}
const flipped = (text) => (text[0] === 'A' ? 'B' : 'A') + text.slice(1)

const unsealing = [
  { name: 'a session', sealed: plain, text: SESSION },
  { name: 'without a version, as iron itself writes it', sealed: plain.slice(0, -2), text: SESSION },
  { name: 'with an older password that is still known', passwords: BOTH, sealed: plain, text: SESSION },
  { name: 'not yet expired', sealed: (await seal(SESSION, { expires: NOW * 1000 + 1 })).sealed, text: SESSION },
  { name: 'expired for less than a minute', sealed: (await seal(SESSION, { expires: NOW * 1000 - 59_999 })).sealed, text: SESSION },
  { name: 'expired for a minute', sealed: (await seal(SESSION, { expires: NOW * 1000 - 60_000 })).sealed },
  { name: 'with a password that is not known', passwords: { 2: SECOND }, sealed: plain },
  { name: 'with another password of the same id', passwords: { 1: SECOND }, sealed: plain },
  { name: 'nothing', sealed: '' },
  { name: 'a version alone', sealed: '~2' },
  { name: 'another version', sealed: plain.replace('~2', '~1') },
  { name: 'two versions', sealed: `${plain}~2` },
  { name: 'a part too few', sealed: parts((list) => list.splice(2, 1)) },
  { name: 'a part too many', sealed: parts((list) => list.push('x')) },
  { name: 'a part too many that was signed', sealed: parts((list) => list.splice(5, 0, 'x')) },
  { name: 'another prefix', sealed: plain.replace('Fe26.2', 'Fe26.1') },
  { name: 'another password id', sealed: parts((list) => (list[1] = '2')) },
  { name: 'no password id', sealed: parts((list) => (list[1] = '')) },
  { name: 'another salt', sealed: parts((list) => (list[2] = flipped(list[2]))) },
  { name: 'another initialisation vector', sealed: parts((list) => (list[3] = flipped(list[3]))) },
  { name: 'other encrypted bytes', sealed: parts((list) => (list[4] = flipped(list[4]))) },
  { name: 'an expiry that was added', sealed: parts((list) => (list[5] = String(NOW * 1000 + 1))) },
  { name: 'another second salt', sealed: parts((list) => (list[6] = flipped(list[6]))) },
  { name: 'another signature', sealed: parts((list) => (list[7] = flipped(list[7]))) },
  { name: 'a signature that is cut', sealed: parts((list) => (list[7] = list[7].slice(0, 8))) },
  { name: 'a signature with padding', sealed: parts((list) => (list[7] += '=')) },
  { name: 'no signature', sealed: parts((list) => (list[7] = '')) },
  { name: 'more than 64 KiB', sealed: (await seal('x'.repeat(49_000))).sealed },
].map((one) => ({ passwords: ONE, ...one, ...(one.text === undefined && { error: 'SEALED_SESSION_INVALID' }) }))

const passwords = [
  { name: '32 hexadecimal digits', password: FIRST },
  { name: '32 characters of eight kinds', password: 'abcdefgh'.repeat(4) },
  { name: 'characters, not bytes, are counted', password: `${'ä'.repeat(24)}bcdefgh`, error: true },
  { name: '31 characters', password: FIRST.slice(1), error: true },
  { name: '32 times the same', password: 'x'.repeat(32), error: true },
  { name: 'a word, repeated', password: 'password'.repeat(4), error: true },
  { name: 'nothing', password: '', error: true },
].map(({ error, ...one }) => ({ ...one, ...(error && { error: 'CONFIGURATION_INVALID' }) }))

const path = new URL('../../../tests/vectors/sealed_sessions.json', import.meta.url)
writeFileSync(path, `${JSON.stringify({ now: NOW, sealing, unsealing, passwords }, null, 2)}\n`)
