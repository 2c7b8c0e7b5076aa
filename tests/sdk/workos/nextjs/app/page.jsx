import { withAuth } from '@workos-inc/authkit-nextjs'
import { leave, refresh, switchTo } from './actions'
import { InTheBrowser } from './in-the-browser'

export default async function Page() {
  const { user, organizationId, role, permissions, featureFlags } = await withAuth({ ensureSignedIn: true })
  return (
    <main>
      <p id="user">{`${user.firstName} ${user.lastName} <${user.email}>`}</p>
      <p id="place">{`${organizationId} ${role} ${permissions}`}</p>
      <p id="flags">{JSON.stringify(featureFlags)}</p>
      <InTheBrowser />
      <form action={refresh}>
        <button id="refresh">Refresh</button>
      </form>
      <form action={switchTo}>
        <input name="organization" />
        <button id="switch">Switch</button>
      </form>
      <form action={leave}>
        <button id="leave">Sign out</button>
      </form>
    </main>
  )
}
