// A user at the sign-in page, without a browser: follows redirects, keeps cookies, fills in the forms it is shown and posts
// them as they stand. Knows nothing of the server but its pages.

const ENTITIES = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

const decoded = (text) =>
  text.replace(/&(?:#(\d+)|#x([0-9a-f]+)|(\w+));/gi, (whole, decimal, hexadecimal, name) => {
    if (name) return ENTITIES[name] ?? whole
    return String.fromCodePoint(decimal ? Number(decimal) : Number.parseInt(hexadecimal, 16))
  })

const attributes = (tag) =>
  Object.fromEntries(
    Array.from(tag.matchAll(/([a-z-]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]+)))?/gi), ([, name, ...values]) => [
      name.toLowerCase(),
      decoded(values.find((value) => value !== undefined) ?? ''),
    ]),
  )

/** The forms of a page: where each goes, how, and its fields as `{ name, type, value }`. */
const forms = (page) =>
  Array.from(page.matchAll(/<form\b([^>]*)>(.*?)<\/form>/gis), ([, tag, inner]) => {
    const { action = '', method = 'get' } = attributes(tag)
    const fields = Array.from(inner.matchAll(/<(input|button)\b([^>]*)>/gi), ([, element, rest]) => ({
      type: element === 'button' ? 'submit' : 'text',
      value: '',
      ...attributes(rest),
    }))
    return { action, method, fields }
  })

/** What a reader sees of a page, for messages. */
const words = (page) =>
  decoded(page.replace(/<(style|head)\b.*?<\/\1>/gis, '').replace(/<[^>]*>/g, ' '))
    .replace(/\s+/g, ' ')
    .trim()

export class Browser {
  #cookies = new Map()

  /** Sends one request, and keeps what cookies it sets. */
  async #send(url, options = {}) {
    const cookie = Array.from(this.#cookies, ([name, value]) => `${name}=${value}`).join('; ')
    const headers = { ...options.headers, ...(cookie && { cookie }) }
    const response = await fetch(url, { ...options, headers, redirect: 'manual' })
    for (const line of response.headers.getSetCookie()) {
      const [pair, ...rest] = line.split(';')
      const at = pair.indexOf('=')
      const expired = rest.some((part) => /^\s*max-age=(0|-\d+)\s*$/i.test(part))
      if (expired) this.#cookies.delete(pair.slice(0, at).trim())
      else this.#cookies.set(pair.slice(0, at).trim(), pair.slice(at + 1).trim())
    }
    return response
  }

  /** Goes to an address, and on wherever it leads within the same server: `{ left }` where it leads away, else `{ url, page }`. */
  async visit(address, options) {
    const { origin } = new URL(address)
    let url = String(address)
    for (let hops = 0; hops < 10; hops += 1) {
      const response = await this.#send(url, options)
      const location = response.headers.get('location')
      if (!location) return { url, status: response.status, page: await response.text() }
      url = new URL(location, url).href
      if (new URL(url).origin !== origin) return { left: url }
      options = undefined
    }
    throw new Error(`${address} redirects for ever`)
  }

  /**
   * Opens an authorization URL and signs in, as far as the pages ask: `answers` names fields and what to enter
   * (`email`, `password`, `organization`, …). Answers the address in the application that it ends at.
   */
  async signIn(authorizationUrl, answers) {
    const given = new Set()
    let at = await this.visit(authorizationUrl)
    while (!at.left) {
      const asks = (form) => form.fields.some(({ name }) => name in answers && !given.has(name))
      const form = forms(at.page).find(asks)
      if (!form) throw new Error(`the page at ${new URL(at.url).pathname} (${at.status}) does not go on: ${words(at.page)}`)
      const body = new URLSearchParams()
      for (const { name, type, value } of form.fields.filter(({ name }) => name)) {
        if (type === 'hidden') body.append(name, value)
        else if (name in answers && !given.has(name)) {
          body.append(name, answers[name])
          given.add(name)
        }
      }
      const target = new URL(form.action, at.url)
      at = await this.visit(target, { method: 'POST', body, headers: { origin: target.origin, 'sec-fetch-site': 'same-origin' } })
    }
    return at.left
  }
}
