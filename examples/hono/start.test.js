// The example as its README starts it, asked by the very commands that it prints.

import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'

/** Runs `npm start` until it has said all that it has to say. */
async function start() {
  // A group of its own, as a terminal gives it: Control-C goes to all of it.
  const env = { ...process.env, PORT: '0' }
  const child = spawn('npm', ['start'], { cwd: import.meta.dirname, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  // Closed once nobody holds its output any more, which is later than that npm itself has ended.
  const running = { output: '', ended: once(child, 'close').then(([code]) => code) }
  running.interrupt = () => process.kill(-child.pid, 'SIGINT')
  const ready = new Promise((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        running.output += chunk
        if (/\/api\/me\n/.test(running.output)) resolve()
      })
    }
  })
  const failed = running.ended.then(() => assert.fail(`it has ended:\n${running.output}`))
  await Promise.race([ready, failed])
  return running
}

const found = (text, pattern) => [...text.matchAll(pattern)].map(([, line]) => line)

test('one command starts all of it, what it prints does what it says, and Control-C ends it', { timeout: 60_000 }, async () => {
  const { output, interrupt, ended } = await start()
  try {
    const tokens = found(output, /^ {2}([A-Z]+=\S+)$/gm)
    const typed = (command) => `${tokens.join('\n')}\n${command} --silent --write-out '\\n%{http_code}'`
    const commands = found(output, /^ {2}(curl .*)$/gm)
    const answers = commands.map((command) => execFileSync('sh', ['-c', typed(command)], { encoding: 'utf8' }).split('\n'))
    const [ours, other, me] = answers.map(([body, status]) => [Number(status), JSON.parse(body)])
    assert.deepEqual(ours, [200, { snippets: ['Hello from the synthesis'], limit: 1000 }])
    assert.deepEqual([other[0], other[1].code], [403, 'FEATURE_OFF'])
    const { revision, ...about } = me[1]
    assert.deepEqual([me[0], about], [200, { user: 'user_other', organization: 'org_other', flags: { 'snippet-synthesis': false } }])
    assert.ok(revision > 0)
  } finally {
    interrupt()
  }
  await ended
  const [, backend, issuer] = /listens on (\S+), and accepts tokens of (\S+)/.exec(output)
  for (const url of [backend, issuer]) await assert.rejects(fetch(url), ({ cause }) => cause.code === 'ECONNREFUSED')
})
