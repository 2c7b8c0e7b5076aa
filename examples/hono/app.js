// The backend. It knows its issuer and its audience, and asks nobody anything per request: the token carries the flags.

import { Hono } from 'hono'
import { flagbearer } from '@flagbearer/node/hono'

/** Lets a request through only if its token carries this flag as `true`. */
const requireFlag = (key) => async (c, next) => {
  if (!c.get('flags').getBooleanFlag(key, false)) return c.json({ code: 'FEATURE_OFF', message: `\`${key}\` is off for you` }, 403)
  await next()
}

export function createApp({ issuer, audience }) {
  const app = new Hono()

  app.use('/api/*', flagbearer({ issuer, audience }))

  app.get('/api/me', (c) => {
    const flags = c.get('flags')
    return c.json({ user: flags.claims.sub, organization: flags.organization, revision: flags.flagsRevision, flags: flags.getAllFlags() })
  })

  app.get('/api/snippets', requireFlag('snippet-synthesis'), (c) => {
    // The default is what is used until somebody creates the flag.
    const limit = c.get('flags').getIntegerFlag('ai_token_limit', 1000)
    return c.json({ snippets: ['Hello from the synthesis'], limit })
  })

  return app
}
