import { getFlagbearerSession } from '@flagbearer/node/nextjs'
import { FlagbearerProvider } from '@flagbearer/node/nextjs/client'
import type { ReactNode } from 'react'
import './style.css'

export const metadata = { title: 'Flagbearer and Next.js' }

/** What components in the browser may read. Flags that are not named here stay on the server. */
const IN_THE_BROWSER = ['new_ai_model', 'ai_token_limit', 'prompt_variant', 'model_config']

export default async function Layout({ children }: { children: ReactNode }) {
  const session = await getFlagbearerSession().getClientSession({ flags: IN_THE_BROWSER })
  return (
    <html lang="en">
      <body>
        <FlagbearerProvider session={session}>{children}</FlagbearerProvider>
      </body>
    </html>
  )
}
