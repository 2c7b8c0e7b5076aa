'use strict'

const { flagbearerProxy } = require('./proxy.js')
const { handleAuth } = require('./routes.js')
const { getFlagbearerSession } = require('./session.js')

module.exports = { flagbearerProxy, getFlagbearerSession, handleAuth }
