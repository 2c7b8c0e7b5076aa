// For a test: every flag of the token reaches the browser.

import { getFlagbearerSession } from '@flagbearer/node/nextjs'
import { FlagbearerProvider } from '@flagbearer/node/nextjs/client'
import { Reads } from './reads'

export default async function All() {
  const session = await getFlagbearerSession().getClientSession({ flags: 'all' })
  return (
    <FlagbearerProvider session={session}>
      <Reads keys={session.flags.map(([key]) => key)} />
    </FlagbearerProvider>
  )
}
