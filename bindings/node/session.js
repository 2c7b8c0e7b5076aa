'use strict'

const { randomBytes } = require('node:crypto')
const native = require('@flagbearer/native')
const { called } = require('./error.js')
const sealedSessions = require('./sealed_session.js')

module.exports = { ...sealedSessions(native, randomBytes), called }
