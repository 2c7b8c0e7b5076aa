// A network that loses answers: everything reaches the server, but some of what it says does not come back. And one that is too
// busy: something on the way answers in the server's place.

import http from 'node:http'

/**
 * Stands in front of a server. Each of the next `losing` answers to POST is thrown away, and its connection cut; each of the next
 * requests by POST is answered with one of `failing`, `{ status, headers, body }`, and does not reach the server.
 */
export async function lossy(url) {
  const network = { losing: 0, lost: 0, failing: [], keys: [] }
  const server = http.createServer(async (request, response) => {
    const chunks = []
    for await (const chunk of request) chunks.push(chunk)
    if (request.method === 'POST') network.keys.push(request.headers['idempotency-key'])
    const failure = request.method === 'POST' && network.failing.shift()
    if (failure) {
      response.writeHead(failure.status, failure.headers).end(failure.body)
      return
    }
    const headers = new Headers(Object.entries(request.headers).filter(([name]) => !['host', 'connection', 'content-length', 'transfer-encoding'].includes(name)))
    const body = chunks.length ? Buffer.concat(chunks) : undefined
    const answer = await fetch(new URL(request.url, url), { method: request.method, headers, body })
    const text = await answer.text()
    if (request.method === 'POST' && network.losing > 0) {
      network.losing -= 1
      network.lost += 1
      request.socket.destroy()
      return
    }
    response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? 'text/plain' })
    response.end(text)
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  network.place = { apiHostname: '127.0.0.1', port: server.address().port, https: false }
  network.stop = () => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(resolve))
  }
  return network
}
