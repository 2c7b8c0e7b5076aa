'use strict'

// A real Flagbearer server for tests: the binary that `cargo build --workspace` made, on a database of its own.

const { spawn } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')

const BINARY = process.env.FLAGBEARER_BINARY ?? path.join(__dirname, '../../../target/debug/flagbearer')
const ADMIN_KEY = 'planted-administrator-key-0123456789abcdef'

class Server {
  static async start() {
    const server = new Server()
    server.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'flagbearer-'))
    await server.up('127.0.0.1:0')
    return server
  }

  /** Runs the binary until it listens; the same address again keeps the issuer what it is. */
  async up(listen) {
    this.child = spawn(BINARY, ['serve', '--listen', listen], {
      cwd: this.folder,
      env: { PATH: process.env.PATH, FLAGBEARER_ADMIN_KEY: ADMIN_KEY, FLAGBEARER_LOG: 'warn' },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    this.ended = new Promise((resolve) => this.child.once('exit', resolve))
    this.url = await new Promise((resolve, reject) => {
      let output = ''
      this.child.stdout.on('data', (chunk) => {
        output += chunk
        const [, address] = /listens on (\S+)/.exec(output) ?? []
        if (address) resolve(address)
      })
      this.child.once('error', reject)
      this.ended.then((code) => reject(new Error(`flagbearer ended with ${code} before it listened`)))
    })
  }

  /** As a power cut would. */
  async kill() {
    this.child.kill('SIGKILL')
    await this.ended
  }

  async restart() {
    await this.kill()
    await this.up(new URL(this.url).host)
  }

  async stop() {
    this.child.kill('SIGTERM')
    await this.ended
    fs.rmSync(this.folder, { recursive: true, force: true })
  }

  async call(method, path, body) {
    const response = await fetch(`${this.url}/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${ADMIN_KEY}`, ...(body && { 'content-type': 'application/json' }) },
      body: body && JSON.stringify(body),
    })
    const answer = await response.text()
    if (!response.ok) throw new Error(`${response.status} ${answer}`)
    return answer && JSON.parse(answer)
  }

  /** A public application in production; answers its client id, which is the audience of its tokens. */
  async application() {
    return (await this.register({ public: true })).client_id
  }

  register = (settings) => this.call('POST', '/applications', { name: 'app', environment: 'production', ...settings })

  killFlag = (flag) => this.call('POST', `/flags/${flag}/environments/production/kill`)
  reviveFlag = (flag) => this.call('DELETE', `/flags/${flag}/environments/production/kill`)
}

module.exports = { Server }
