// A receiver that knows nothing of the sender but the specification: reads a message on standard input as
// { secret, headers, body }, and prints what it verified; whatever is not genuine ends it with an error.
import { readFileSync } from 'node:fs'
import { Webhook } from 'standardwebhooks'

const { secret, headers, body } = JSON.parse(readFileSync(0, 'utf8'))
console.log(JSON.stringify(new Webhook(secret).verify(body, headers)))
