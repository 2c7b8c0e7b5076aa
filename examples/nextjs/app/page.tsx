import { getFlagbearerSession } from '@flagbearer/node/nextjs'

export default async function Home() {
  const { isAuthenticated, getUser } = getFlagbearerSession()
  const user = await getUser()
  return (
    <main>
      <h1>Flags in the access token</h1>
      {(await isAuthenticated()) ? <p>Signed in as {user?.email}.</p> : <p>Nobody is signed in.</p>}
      {/* No <Link>: Next.js would prefetch the pages of somebody who is not signed in yet. */}
      <a href="/dashboard">Dashboard</a>
    </main>
  )
}
