//! The OAuth 2 and OpenID Connect endpoints of each issuer that programs call; browsers come to the sign-in pages.

mod introspect;
mod metadata;
mod request;
mod revoke;
mod token;
mod userinfo;

pub use introspect::introspect;
pub use metadata::{jwks, metadata, public_keys};
pub use revoke::revoke;
pub use token::{REMEMBERED, once, token};
pub use userinfo::{shown, user_info};
