'use server'

import { refreshSession, signOut, switchToOrganization } from '@workos-inc/authkit-nextjs'

export const refresh = async () => {
  await refreshSession({ ensureSignedIn: true })
}

export const switchTo = async (form) => {
  await switchToOrganization(form.get('organization'))
}

export const leave = async () => {
  await signOut({ returnTo: process.env.GOODBYE })
}
