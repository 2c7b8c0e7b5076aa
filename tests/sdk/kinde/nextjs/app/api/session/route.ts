// Everything that the SDK reads out of the session on the server, and what it makes of flags that are not there or mistyped.
import { getKindeServerSession } from '@kinde-oss/kinde-auth-nextjs/server'
import { NextResponse } from 'next/server'

export async function GET() {
  const session = getKindeServerSession()
  const thrown = await session.getFlag('absent').then(
    () => null,
    (error: Error) => error.message,
  )
  return NextResponse.json({
    isAuthenticated: await session.isAuthenticated(),
    user: await session.getUser(),
    organization: await session.getOrganization(),
    permissions: await session.getPermissions(),
    flags: {
      zero: await session.getIntegerFlag('zero', 1),
      empty: await session.getStringFlag('empty', 'x'),
      json: await session.getFlag('model_config', {}, 'j'),
      absent: await session.getBooleanFlag('absent', true),
      mistyped: await session.getBooleanFlag('ai_token_limit', true),
      thrown,
    },
  })
}
