//! The options of `flagbearer serve`. The comments here are `--help` and the reference.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use clap::builder::BoolishValueParser;
use ipnet::IpNet;

use crate::outbound::Allowed;
use crate::secret::Secret;

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::new(text))
    }
}

#[derive(Debug, Clone, Args)]
pub struct Config {
    /// The address to listen on.
    #[arg(long, env = "FLAGBEARER_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// The URL that clients and token readers reach this server by: the issuer of the default environment.
    /// [default: http://<listen>]
    #[arg(long, env = "FLAGBEARER_PUBLIC_URL")]
    pub public_url: Option<String>,

    /// Where the data is: `sqlite:<file>` (created where missing), or `postgres://…` for any number of replicas.
    #[arg(long, env = "FLAGBEARER_DATABASE_URL", default_value = "sqlite:flagbearer.db", hide_env_values = true)]
    pub database_url: String,

    /// The file with the installation's key, which seals the signing keys. Created with an empty database; keep it with the
    /// backups, and give all replicas the same.
    #[arg(long, env = "FLAGBEARER_KEY_FILE", default_value = "flagbearer.key")]
    pub key_file: PathBuf,

    /// The installation's key itself, instead of a file: 32 bytes in base64url.
    #[arg(long, env = "FLAGBEARER_KEY", hide_env_values = true)]
    pub key: Option<Secret>,

    /// The secret of an administrator API key that exists from the start, for automation; at least 32 characters.
    #[arg(long, env = "FLAGBEARER_ADMIN_KEY", hide_env_values = true)]
    pub admin_key: Option<Secret>,

    /// What the server may connect to although it is not public, and without TLS: host names and address ranges, separated
    /// by commas. Otherwise identity providers and all else that it fetches have public addresses and speak https.
    #[arg(long, env = "FLAGBEARER_OUTBOUND_ALLOW", value_delimiter = ',', value_name = "HOST|RANGE")]
    pub outbound_allow: Vec<Allowed>,

    /// Write down which tokens are issued, for seven days, so that `explain` finds one by its `jti` or by the id of the request
    /// that it answered. Costs a row for every refresh.
    #[arg(long, env = "FLAGBEARER_RECORD_ISSUANCE", value_parser = BoolishValueParser::new())]
    pub record_issuance: bool,

    /// The proxies in front of this server, whose `X-Forwarded-For` says where a request came from: addresses or ranges
    /// such as 10.0.0.0/8, separated by commas. Without any that header is ignored: everybody could write it.
    #[arg(long, env = "FLAGBEARER_TRUSTED_PROXIES", value_name = "RANGES", value_delimiter = ',', value_parser = range)]
    pub trusted_proxies: Vec<IpNet>,

    /// After how many days the signing keys are followed by new ones, which no token notices; 0: never by themselves.
    #[arg(long, env = "FLAGBEARER_ROTATE_KEYS_EVERY", default_value_t = 90, value_name = "DAYS")]
    pub rotate_keys_every: u32,
}

/// One address, or a range of them.
fn range(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let range = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    range.map_err(|_| format!("`{text}` is not an address such as 10.0.0.1 or a range such as 10.0.0.0/8"))
}
