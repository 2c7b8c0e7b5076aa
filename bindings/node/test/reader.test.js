'use strict'

const reader = require('@flagbearer/node')
const { flagSetOfClaim } = require('@flagbearer/node/testing')
const { readerBehaves } = require('./reader_behaviour.js')

readerBehaves('', { ...reader, flagSetOfClaim })
