// The versions of WorkOS's package for Node that are run, each as it was published.

import * as v8 from 'workos-node-8'
import * as v10 from '@workos-inc/node'
import * as v11 from 'workos-node-11'

export const SDKS = [
  { version: '8.13.0', major: 8, WorkOS: v8.WorkOS },
  { version: '10.14.0', major: 10, WorkOS: v10.WorkOS },
  { version: '11.0.0', major: 11, WorkOS: v11.WorkOS },
]
