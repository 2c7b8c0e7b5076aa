// A Worker with the middleware for Hono; the settings come with the request, for tests.

import { flagbearer } from '@flagbearer/node/hono'
import { Hono } from 'hono'

const app = new Hono()
app.use((c, next) => flagbearer(JSON.parse(c.req.header('x-options')))(c, next))
app.get('/', (c) => c.json(c.get('flags').getAllFlags()))

export default app
