'use strict'

// An issuer for tests: a key, a server that publishes it and can be made to fail, and tokens signed by somebody else's
// library, so that the reader is not tested against itself.

const http = require('node:http')
const jose = import('jose')

class Issuer {
  requests = 0
  /** What the server does with a request; publishes the keys unless a test says otherwise. */
  answer = (request, response) => response.setHeader('content-type', 'application/json').end(JSON.stringify(this.jwks))

  static async start(algorithm = 'EdDSA') {
    const issuer = new Issuer()
    await issuer.rotate(algorithm)
    issuer.server = http.createServer((request, response) => {
      issuer.requests++
      issuer.answer(request, response)
    })
    await new Promise((resolve) => issuer.server.listen(0, '127.0.0.1', resolve))
    issuer.url = `http://127.0.0.1:${issuer.server.address().port}`
    return issuer
  }

  /** Has the server answer good keys, and then blanks for as long as anybody reads on; tells how many bytes it had written by then. */
  writeOnAndOn() {
    const blanks = Buffer.alloc(65536, ' ')
    return new Promise((resolve) => {
      this.answer = (request, response) => {
        let bytes = 0
        const write = () => {
          do bytes += blanks.length
          while (response.write(blanks))
        }
        response.on('drain', write).on('close', () => resolve(bytes))
        response.write(JSON.stringify(this.jwks))
        write()
      }
    })
  }

  async rotate(algorithm) {
    const { generateKeyPair, exportJWK, calculateJwkThumbprint } = await jose
    const { publicKey, privateKey } = await generateKeyPair(algorithm, { extractable: true })
    const jwk = await exportJWK(publicKey)
    this.key = { algorithm, privateKey, kid: await calculateJwkThumbprint(jwk) }
    this.jwks = { keys: [{ ...jwk, use: 'sig', alg: algorithm, kid: this.key.kid }] }
  }

  async token(claims = {}, header = {}) {
    const { SignJWT } = await jose
    const now = Math.floor(Date.now() / 1000)
    const usual = {
      iss: this.url, sub: 'user_1', aud: 'api', client_id: 'app_1', iat: now, exp: now + 300, jti: 'token_1', org_id: 'org_1',
      flags_rev: 41, feature_flags: { new_ai_model: { t: 'b', v: true } },
    }
    const { algorithm, kid, privateKey } = this.key
    return new SignJWT({ ...usual, ...claims }).setProtectedHeader({ typ: 'at+jwt', alg: algorithm, kid, ...header }).sign(privateKey)
  }

  stop() {
    this.server.closeAllConnections()
    return new Promise((resolve) => this.server.close(resolve))
  }
}

/** Far more than a reader may take, with whatever waits between it and a server; and little beside what comes in five seconds. */
const ENDLESS_BYTES = 64 * 1024 * 1024

module.exports = { Issuer, ENDLESS_BYTES }
