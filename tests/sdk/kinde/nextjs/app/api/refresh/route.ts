// What the SDK does by itself once a token is about to expire.
import { getKindeServerSession } from '@kinde-oss/kinde-auth-nextjs/server'
import { NextResponse } from 'next/server'

export async function POST() {
  const { refreshTokens } = getKindeServerSession()
  const refreshed = await refreshTokens()
  return NextResponse.json({ refreshed: Boolean(refreshed) })
}
