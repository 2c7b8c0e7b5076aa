import { handleAuth } from '@flagbearer/node/nextjs'

export const { GET, POST } = handleAuth()
