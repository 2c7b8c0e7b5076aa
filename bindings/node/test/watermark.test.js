'use strict'

// Following the watermark of a real server, through whatever can come in between.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { execFile } = require('node:child_process')
const { EventEmitter, once } = require('node:events')
const http = require('node:http')
const path = require('node:path')
const { Flagbearer } = require('@flagbearer/node')
const { Watermark } = require('../watermark.js')

const launcher = import('../../../examples/hono/flagbearer.js')

/** Tells when a reader was told something, or told that it would be told nothing. */
const news = new EventEmitter().setMaxListeners(0)
const { renew } = Watermark.prototype
Watermark.prototype.renew = function () {
  renew.call(this)
  news.emit('came')
}

/** Waits until it holds; answers after how many milliseconds. The limit is what is promised, or far more where nothing is. */
async function until(holds, limit = 60_000) {
  const begin = performance.now()
  const given = new AbortController()
  const timer = setTimeout(() => given.abort(new Error(`not within ${limit} ms: ${holds}`)), limit)
  try {
    while (!holds()) await once(news, 'came', { signal: given.signal })
  } finally {
    clearTimeout(timer)
  }
  return performance.now() - begin
}

/** A server with a flag that is on, and a token that carries it. */
async function start(t) {
  const server = await (await launcher).startFlagbearer()
  t.after(() => server.stop())
  await server.call('POST', '/flags', { key: 'new_ai_model', type: 'boolean', default_value: true })
  await server.call('POST', '/flags', { key: 'variant', type: 'string', default_value: 'new', off_value: 'old' })
  const { audience } = await server.application('production')
  const { access_token: token } = await server.call('POST', '/sessions', { application: audience, user: 'alice' })
  const follow = (options = {}) => {
    const reader = new Flagbearer({ issuer: server.url, audience, followWatermark: true, ...options })
    t.after(() => reader.close())
    return reader
  }
  const kill = (flag) => server.call('POST', `/flags/${flag}/environments/production/kill`)
  const revive = (flag) => server.call('DELETE', `/flags/${flag}/environments/production/kill`)
  return { server, audience, token, follow, kill, revive }
}

/** Stands between readers and a server, hands everything on, and does to the watermark, or whatever has `path` in its URL, what a test says. */
async function between(t, server, meddle, path = '/v1/watermark/') {
  const open = new Set()
  const answered = []
  const proxy = http.createServer((request, response) => {
    if (request.url.includes(path) && meddle?.(request, response)) return
    const { host } = new URL(server.url)
    const forward = http.request(server.url + request.url, { headers: { ...request.headers, host } }, (answer) => {
      answered.push([request.url, answer.statusCode])
      response.writeHead(answer.statusCode, answer.headers)
      answer.pipe(response)
    })
    forward.on('error', () => response.destroy())
    response.on('close', () => forward.destroy())
    forward.end()
  })
  proxy.on('connection', (socket) => {
    open.add(socket)
    socket.on('close', () => open.delete(socket))
  })
  await new Promise((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  const cut = () => open.forEach((socket) => socket.destroy())
  t.after(() => {
    cut()
    return new Promise((resolve) => proxy.close(resolve))
  })
  const address = `http://127.0.0.1:${proxy.address().port}`
  // As if the issuer were there: what the reader fetches goes through the proxy.
  const fetchThere = (url, options) => fetch(url.replace(server.url, address), options)
  // The same for a reader without a `fetch` of its own.
  const goThere = () => {
    const { get } = http
    t.mock.method(http, 'get', (url, ...rest) => get(url.replace(server.url, address), ...rest))
  }
  return { cut, fetch: fetchThere, goThere, answered }
}

test('a kill reaches a hundred readers within a second, and so does its revival', { timeout: 120_000 }, async (t) => {
  const { token, follow, kill, revive } = await start(t)
  const readers = Array.from({ length: 100 }, () => follow())
  const sets = await Promise.all(readers.map((reader) => reader.verify(token)))
  await until(() => readers.every(({ state }) => state === 'fresh'))
  for (const flags of sets) assert.equal(flags.getBooleanFlag('new_ai_model', false), true)
  const measure = async (work, value) => {
    const begin = process.hrtime.bigint()
    const times = sets.map(async (flags) => {
      await until(() => flags.getBooleanFlag('new_ai_model', !value) === value, 10_000)
      return Number(process.hrtime.bigint() - begin) / 1e6
    })
    await work()
    const sorted = (await Promise.all(times)).sort((a, b) => a - b)
    return { median: sorted[50], maximum: sorted[99] }
  }
  for (const [what, work, value] of [['kill', kill, false], ['revival', revive, true]]) {
    const { median, maximum } = await measure(() => work('new_ai_model'), value)
    t.diagnostic(`${what}, from the call to 100 readers: median ${median.toFixed(0)} ms, maximum ${maximum.toFixed(0)} ms`)
    assert.ok(maximum < 1000, `${what}: ${maximum} ms`)
  }
})

test('what is killed is told with its reason, and a newer token by itself', async (t) => {
  const { server, audience, token, follow, kill } = await start(t)
  const reader = follow()
  const older = await reader.verify(token)
  await until(() => reader.state === 'fresh')
  assert.equal(older.state, 'fresh')
  await kill('variant')
  await until(() => older.getStringFlag('variant', 'mine') === 'old')
  assert.deepEqual(older.getFlag('variant', 'mine', 's'), {
    code: 'variant', type: 'string', value: 'old', defaultValue: 'mine', is_default: false, reason: 'DISABLED',
  })
  assert.equal(older.getFlag('new_ai_model', false).reason, 'CACHED')
  assert.deepEqual({ ...older.getAllFlags() }, { new_ai_model: true, variant: 'old' })
  const { access_token: next } = await server.call('POST', '/sessions', { application: audience, user: 'alice' })
  assert.equal((await reader.verify(next)).getFlag('variant', 'mine').reason, 'CACHED')

  await server.call('POST', '/environments/production/min-revision')
  await until(() => older.state === 'stale')
  assert.equal(older.getFlag('new_ai_model', false).reason, 'STALE')
  assert.equal(older.getFlag('variant', 'mine').reason, 'DISABLED')
  assert.equal(reader.state, 'fresh', 'it is the token that is too old')
})

test('a reader that does not follow knows of no kill, and has no state', async (t) => {
  const { server, audience, token, kill } = await start(t)
  await kill('new_ai_model')
  const reader = new Flagbearer({ issuer: server.url, audience })
  const flags = await reader.verify(token)
  assert.deepEqual([flags.getBooleanFlag('new_ai_model', false), flags.state, reader.state], [true, undefined, undefined])
  reader.close()
})

test('reading waits for nothing: not even for the first watermark', async (t) => {
  const { token, server, follow } = await start(t)
  const proxy = await between(t, server, () => true)
  const reader = follow({ fetch: proxy.fetch })
  const flags = await reader.verify(token)
  assert.deepEqual([flags.getBooleanFlag('new_ai_model', false), flags.state], [true, 'disconnected'])
})

test('it survives the restart of the server, and hears at once what was changed', async (t) => {
  const { server, token, follow, kill } = await start(t)
  const reader = follow()
  const flags = await reader.verify(token)
  await until(() => reader.state === 'fresh')
  await server.kill()
  await server.startAgain()
  await kill('new_ai_model')
  t.diagnostic(`heard ${(await until(() => !flags.getBooleanFlag('new_ai_model', true))).toFixed(0)} ms after the restart`)
})

test('it survives a connection that breaks off', async (t) => {
  const { server, token, follow, kill, revive } = await start(t)
  const proxy = await between(t, server)
  const reader = follow({ fetch: proxy.fetch })
  const flags = await reader.verify(token)
  await until(() => reader.state === 'fresh')
  for (const [work, value] of [[kill, false], [revive, true]]) {
    proxy.cut()
    await work('new_ai_model')
    await until(() => flags.getBooleanFlag('new_ai_model', !value) === value)
  }
})

/** Both ways in which a reader that follows goes over the network: the options that have it go through a proxy. */
const WAYS = [
  ['a fetch of its own', ({ fetch }) => ({ fetch })],
  ['the GET that keeps no process from ending', ({ goThere }) => void goThere()],
]

for (const [way, through] of WAYS) {
  test(`where streams do not come through it polls by ${way}, and gets no watermark twice`, async (t) => {
    const { server, token, follow, kill } = await start(t)
    const proxy = await between(t, server, (request, response) => {
      if (request.headers.accept !== 'text/event-stream') return false
      response.writeHead(406).end()
      return true
    })
    const { now } = Date
    let ahead = 0
    t.mock.method(Date, 'now', () => now() + ahead)
    const reader = follow(through(proxy))
    const flags = await reader.verify(token)
    await until(() => reader.state === 'fresh')
    // Long after the watermark came, it holds by the word of the server that there is none newer.
    for (const times of [1, 2]) {
      await until(() => proxy.answered.filter(([, status]) => status === 304).length >= times)
      ahead += 25_000
      assert.equal(reader.state, 'fresh')
    }
    // Nor was that taken for a failure, after which the address would be looked up anew.
    assert.equal(proxy.answered.filter(([url]) => url.endsWith('/openid-configuration')).length, 1)
    await kill('new_ai_model')
    await until(() => !flags.getBooleanFlag('new_ai_model', true))
  })

  for (const [what, path] of [['the watermark', '/v1/watermark/'], ['its address', '/.well-known/openid-configuration']]) {
    test(`a redirect is not followed to ${what} by ${way}`, async (t) => {
      const { server, token, follow } = await start(t)
      const elsewhere = []
      const target = await between(t, server, ({ url }) => void elsewhere.push(url), '')
      const { url: somewhere } = await target.fetch(`${server.url}/healthz`)
      let redirected = 0
      const proxy = await between(t, server, ({ url }, response) => {
        redirected++
        response.writeHead(307, { location: new URL(url, somewhere).href }).end()
        return true
      }, path)
      const reader = follow(through(proxy))
      const flags = await reader.verify(token)
      await until(() => redirected > 1 || elsewhere.length > 1)
      assert.deepEqual([reader.state, flags.getBooleanFlag('new_ai_model', false)], ['disconnected', true])
      assert.deepEqual(elsewhere, ['/healthz'])
    })
  }
}

test('a watermark that is replayed from before a kill is refused', async (t) => {
  const { server, token, follow, kill, revive } = await start(t)
  const before = await (await fetch(`${server.url}/v1/watermark/production`)).text()
  let replays = 0
  let replaying = false
  const proxy = await between(t, server, (request, response) => {
    if (!replaying) return false
    replays++
    const stream = request.headers.accept === 'text/event-stream'
    response.writeHead(200, { 'content-type': stream ? 'text/event-stream' : 'application/jwt' })
    if (stream) response.write(`data: ${before}\n\n`)
    else response.end(before)
    return true
  })
  const reader = follow({ fetch: proxy.fetch })
  const flags = await reader.verify(token)
  await until(() => reader.state === 'fresh')
  await kill('new_ai_model')
  await until(() => !flags.getBooleanFlag('new_ai_model', true))
  replaying = true
  proxy.cut()
  await until(() => replays > 0)
  // It is told again and again, and half a minute later it says that it knows nothing newer.
  await until(() => reader.state === 'disconnected')
  assert.equal(flags.getBooleanFlag('new_ai_model', true), false)
  replaying = false
  proxy.cut()
  await revive('new_ai_model')
  await until(() => flags.getBooleanFlag('new_ai_model', false))
  assert.equal(reader.state, 'fresh')
})

test('with the server gone readers go on answering, keep to the kill, and say so', async (t) => {
  const { server, token, follow, kill } = await start(t)
  const reader = follow()
  const flags = await reader.verify(token)
  await until(() => reader.state === 'fresh')
  await kill('variant')
  await until(() => flags.getStringFlag('variant', 'mine') === 'old')
  await server.kill()
  await until(() => reader.state === 'disconnected')
  assert.equal(flags.state, 'disconnected')
  const again = await reader.verify(token)
  assert.deepEqual([again.getBooleanFlag('new_ai_model', false), again.getStringFlag('variant', 'mine')], [true, 'old'])
  await server.startAgain()
  await until(() => reader.state === 'fresh')
})

test('a closed reader is told nothing any more, and goes on reading', async (t) => {
  const { token, follow, kill } = await start(t)
  const [closed, open] = [follow(), follow()]
  const [old, flags] = [await closed.verify(token), await open.verify(token)]
  await until(() => closed.state === 'fresh' && open.state === 'fresh')
  closed.close()
  closed.close()
  await kill('new_ai_model')
  await until(() => !flags.getBooleanFlag('new_ai_model', true))
  assert.equal(old.getBooleanFlag('new_ai_model', false), true)
  assert.equal((await closed.verify(token)).getBooleanFlag('new_ai_model', false), true)
})

test('following does not keep the process from ending', async (t) => {
  const { server, audience, token } = await start(t)
  const program = `
    const { Flagbearer } = require('@flagbearer/node')
    const reader = new Flagbearer({ issuer: '${server.url}', audience: '${audience}', followWatermark: true })
    const wait = setInterval(async () => {
      if (reader.state !== 'fresh') return
      clearInterval(wait)
      console.log((await reader.verify('${token}')).getBooleanFlag('new_ai_model', false))
    }, 10)`
  const options = { cwd: path.join(__dirname, '..'), timeout: 30_000 }
  const printed = await new Promise((resolve, reject) => {
    execFile(process.execPath, ['-e', program], options, (error, stdout) => (error ? reject(error) : resolve(stdout)))
  })
  assert.equal(printed, 'true\n')
})
