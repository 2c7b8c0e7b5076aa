//! Where the server may connect to: public addresses, and what the operator named.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::Refused;

/// An exception that the operator makes: a host by its name, or a range of addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed {
    /// In lower case, without a dot at its end.
    Host(String),
    Range(IpNet),
}

impl FromStr for Allowed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(range) = text.parse::<IpNet>() {
            return Ok(Self::Range(range.trunc()));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Range(address.into()));
        }
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let name = text.trim_end_matches('.').to_ascii_lowercase();
        // A name of digits alone is a range that was mistyped.
        if name.is_empty() || !name.bytes().all(legal) || !name.bytes().any(|byte| byte.is_ascii_alphabetic()) {
            return Err(format!(
                "`{text}` is neither a host name such as `login.internal` nor a range such as `10.0.0.0/8`"
            ));
        }
        Ok(Self::Host(name))
    }
}

/// The operator's exceptions, to be asked.
#[derive(Debug, Default)]
pub struct Allow {
    hosts: BTreeSet<String>,
    ranges: Vec<IpNet>,
}

impl Allow {
    pub fn new(allowed: &[Allowed]) -> Self {
        let mut allow = Self::default();
        for allowed in allowed {
            match allowed {
                Allowed::Host(name) => drop(allow.hosts.insert(name.clone())),
                Allowed::Range(range) => allow.ranges.push(*range),
            }
        }
        allow
    }

    /// Whether `host`, which is or is at `address`, may be connected to.
    pub fn address(&self, host: &str, address: IpAddr) -> Result<(), Refused> {
        match not_public(address) {
            Some(rule) if !self.named(host) && !self.in_range(address) => {
                Err(Refused::NotPublic { host: host.to_owned(), address, rule })
            }
            _ => Ok(()),
        }
    }

    /// Whether `host` may be spoken to without TLS: it is named, or is itself (`literal`) an address in a range.
    pub fn plain(&self, host: &str, literal: Option<IpAddr>) -> bool {
        self.named(host) || literal.is_some_and(|address| self.in_range(address))
    }

    fn named(&self, host: &str) -> bool {
        self.hosts.contains(&host.trim_end_matches('.').to_ascii_lowercase())
    }

    fn in_range(&self, address: IpAddr) -> bool {
        self.ranges.iter().any(|range| range.contains(&address))
    }
}

const fn v4(a: u8, b: u8, c: u8, prefix: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, 0), prefix))
}

const fn v6(a: u16, b: u16, prefix: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), prefix))
}

/// Whatever is not globally reachable in IANA's registries of special addresses, and what only stands for another address:
/// which one, a gateway decides. The more telling range stands first.
const NOT_PUBLIC: [(IpNet, &str); 31] = [
    (v4(0, 0, 0, 8), "an unspecified address"),
    (v4(10, 0, 0, 8), "a private address"),
    (v4(100, 64, 0, 10), "an address of a carrier's network"),
    (v4(127, 0, 0, 8), "this machine"),
    (v4(169, 254, 0, 16), "a link-local address, as those of cloud metadata are"),
    (v4(172, 16, 0, 12), "a private address"),
    (v4(192, 0, 0, 24), "an address reserved for protocols"),
    (v4(192, 0, 2, 24), "an address for documentation"),
    (v4(192, 88, 99, 24), "an address of a 6to4 relay"),
    (v4(192, 168, 0, 16), "a private address"),
    (v4(198, 18, 0, 15), "an address for benchmarks"),
    (v4(198, 51, 100, 24), "an address for documentation"),
    (v4(203, 0, 113, 24), "an address for documentation"),
    (v4(224, 0, 0, 4), "a multicast address"),
    (v4(240, 0, 0, 4), "a reserved address"),
    (IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 128)), "an unspecified address"),
    (IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)), "this machine"),
    (IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96)), "an IPv4 address in disguise"),
    (v6(0x64, 0xff9b, 32), "an IPv4 address in disguise"),
    (v6(0x2001, 0, 23), "an address reserved for protocols"),
    (v6(0x2001, 0xdb8, 32), "an address for documentation"),
    (v6(0x2002, 0, 16), "an IPv4 address in disguise"),
    (v6(0x3fff, 0, 20), "an address for documentation"),
    (v6(0xfc00, 0, 7), "a private address"),
    (v6(0xfe80, 0, 10), "a link-local address"),
    (v6(0xff00, 0, 8), "a multicast address"),
    // Beyond 2000::/3 nothing is given out.
    (v6(0, 0, 3), "a reserved address"),
    (v6(0x4000, 0, 3), "a reserved address"),
    (v6(0x6000, 0, 3), "a reserved address"),
    (v6(0x8000, 0, 2), "a reserved address"),
    (v6(0xc000, 0, 2), "a reserved address"),
];

/// Which rule keeps an address from being a public one.
fn not_public(address: IpAddr) -> Option<&'static str> {
    NOT_PUBLIC.iter().find(|(range, _)| range.contains(&address)).map(|(_, rule)| *rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allow(list: &[&str]) -> Allow {
        Allow::new(&list.iter().map(|text| text.parse().expect("an exception")).collect::<Vec<_>>())
    }

    #[test]
    fn only_public_addresses_are_public() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.168.1.1",
            "198.19.255.255",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "4000::1",
            "5f00::1",
            "8000::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            let address: IpAddr = address.parse().expect("an address");
            assert!(not_public(address).is_some(), "{address}");
            assert!(matches!(allow(&[]).address("host", address), Err(Refused::NotPublic { .. })));
        }
        for address in [
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "2a00::1",
            "3ffe::1",
        ] {
            let address: IpAddr = address.parse().expect("an address");
            assert_eq!(not_public(address), None, "{address}");
        }
    }

    #[test]
    fn exceptions_are_names_and_ranges() {
        let allow = allow(&["Login.Internal.", "10.1.0.0/16", "127.0.0.1", "fd00::/8"]);
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        for (host, at, good) in [
            ("login.internal", "192.168.0.1", true),
            ("LOGIN.internal.", "192.168.0.1", true),
            ("other.login.internal", "192.168.0.1", false),
            ("host", "10.1.255.1", true),
            ("host", "10.2.0.1", false),
            ("host", "127.0.0.1", true),
            ("host", "127.0.0.2", false),
            ("host", "fd12::1", true),
            ("host", "::ffff:127.0.0.1", false),
        ] {
            assert_eq!(allow.address(host, address(at)).is_ok(), good, "{host} at {at}");
        }
        assert!(allow.plain("login.internal", None) && allow.plain("10.1.0.1", Some(address("10.1.0.1"))));
        assert!(!allow.plain("host", None) && !allow.plain("10.2.0.1", Some(address("10.2.0.1"))));
    }

    #[test]
    fn what_is_no_exception_is_refused() {
        for text in ["", ".", "*", "http://login.internal", "10.0.0.0/33", "10.0.0", "1234", "login internal", "login:8080"]
        {
            assert!(text.parse::<Allowed>().is_err(), "{text}");
        }
    }
}
