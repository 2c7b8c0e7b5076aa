// The code of WorkOS's guide to feature flags, as it stands there, in the Express application that it is from.

import cookieParser from 'cookie-parser'
import express from 'express'

export function createApp(workos) {
  const app = express()
  app.use(cookieParser())

  app.get('/api/feature-flags', async (req, res) => {
    // load the original session
    const session = workos.userManagement.loadSealedSession({
      cookiePassword: process.env.WORKOS_COOKIE_PASSWORD,
      sessionData: req.cookies['wos-session'],
    });

    const { sealedSession, featureFlags } = await session.refresh();

    // set the updated refresh session data in a cookie
    res.cookie('wos-session', sealedSession, {
      httpOnly: true,
      sameSite: 'lax',
      secure: true,
    });

    // return the feature flags to the client
    res.json({
      featureFlags,
    });
  });

  return app
}
