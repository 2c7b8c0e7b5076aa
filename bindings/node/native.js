'use strict'

// The native part by a name that can be found from an application's own folder, as webpack needs it of what it leaves alone.

module.exports = require('@flagbearer/native')
