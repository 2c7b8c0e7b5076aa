//! Signing in with an identity provider, by what the pages call.
