// The backend of whoever reported issue 431: `hono/jwk` checks the token, and flags are read out of it by the reporter's lines.

import { Hono } from 'hono'
import { jwk } from 'hono/jwk'

export function createApp(jwksUri) {
  const app = new Hono()
  app.use('*', jwk({ jwks_uri: jwksUri, alg: ['RS256'] }))
  app.use('*', async (c, next) => {
    const payload = c.get('jwtPayload')
    c.set('featureFlags', payload.feature_flags ?? []);
    await next()
  })
  app.get('/snippets', (c) => {
    const featureFlags = c.get('featureFlags')
    return c.json({ visible: featureFlags.includes('snippet-synthesis') })
  })
  return app
}
