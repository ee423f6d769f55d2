//! Where requests may go: to granted origins only, and from a granted name to no address that the name has no
//! business with.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Origin, Url};

/// The origins that a destination's file grants.
#[derive(Debug)]
pub(crate) struct Egress {
    origins: BTreeSet<String>,
}

impl Egress {
    /// Reads `allow`. An error says which entry is no origin.
    pub(crate) fn new(allow: &[String]) -> Result<Self, String> {
        Ok(Self {
            origins: allow.iter().map(|entry| origin(entry)).collect::<Result<_, _>>()?,
        })
    }

    /// Whether a request may go to that URL: scheme, host and port are granted, and it carries no credentials.
    pub(crate) fn check(&self, url: &Url) -> Result<(), String> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a URL may not carry a user name or password; use a header".into());
        }
        let origin = url.origin();
        let Origin::Tuple(..) = origin else {
            return Err(format!("`{}` is neither http nor https", url.scheme()));
        };
        let origin = origin.ascii_serialization();
        if self.origins.contains(&origin) {
            return Ok(());
        }
        let granted = match self.origins.len() {
            0 => "nothing is granted".to_owned(),
            _ => format!(
                "granted is {}",
                self.origins.iter().cloned().collect::<Vec<_>>().join(", ")
            ),
        };
        Err(format!(
            "{origin} is not granted: add it to `allow` in the destination's file ({granted})"
        ))
    }
}

/// The origin that an entry of `allow` spells, default port left out.
fn origin(entry: &str) -> Result<String, String> {
    let wrong = |why: &str| format!("allow: `{entry}` is no origin ({why}); right would be `https://crm.example.com`");
    let url = Url::parse(entry).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("its scheme is neither http nor https"));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        return Err(wrong("it has more than scheme, host and port"));
    }
    Ok(url.origin().ascii_serialization())
}

/// Whether a granted host may be at that address. A literal address was granted as it stands. A name under which
/// nobody can register anything (`localhost`, a single word, `.internal`, …) is the operator's own and may be in a
/// private network. Any other name is public, and must be at a public address: its owner could point it anywhere.
pub(crate) fn may_connect(host: &str, address: IpAddr) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    if let Ok(Host::Ipv4(_) | Host::Ipv6(_)) = Host::parse(&host) {
        return true;
    }
    if host == "localhost" || host.ends_with(".localhost") {
        return address.is_loopback();
    }
    let private = !host.contains('.')
        || [".internal", ".local", ".home.arpa", ".lan"]
            .iter()
            .any(|suffix| host.ends_with(suffix));
    match scope(address) {
        Scope::Public => true,
        Scope::Private => private,
        Scope::Never => false,
    }
}

#[derive(PartialEq, Eq)]
enum Scope {
    Public,
    /// Loopback and networks of one's own.
    Private,
    /// Link-local (where clouds keep their metadata), multicast, unspecified and reserved addresses.
    Never,
}

fn scope(address: IpAddr) -> Scope {
    match address {
        IpAddr::V4(v4) => scope_v4(v4),
        IpAddr::V6(v6) => match embedded_v4(v6) {
            Some(v4) => scope_v4(v4),
            None => scope_v6(v6),
        },
    }
}

fn scope_v4(v4: Ipv4Addr) -> Scope {
    let [a, b, c, _] = v4.octets();
    match (a, b, c) {
        (10 | 127, _, _) | (172, 16..=31, _) | (192, 168, _) | (100, 64..=127, _) => Scope::Private,
        // "This" network, link-local, protocol assignments, benchmarking, documentation, multicast and reserved.
        (0, ..) | (169, 254, _) | (192, 0, 0 | 2) | (198, 18..=19, _) | (198, 51, 100) | (203, 0, 113) => Scope::Never,
        (224.., ..) => Scope::Never,
        _ => Scope::Public,
    }
}

fn scope_v6(v6: Ipv6Addr) -> Scope {
    let first = v6.segments()[0];
    if v6.is_loopback() || first & 0xfe00 == 0xfc00 {
        Scope::Private
    } else if first & 0xe000 == 0x2000 && !(first == 0x2001 && v6.segments()[1] == 0x0db8) {
        // 2000::/3 is all that is routed globally.
        Scope::Public
    } else {
        Scope::Never
    }
}

/// The IPv4 address that a mapped, NAT64 or 6to4 address leads to.
fn embedded_v4(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = v6.segments();
    let v4 = |high: u16, low: u16| Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match s {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        _ => None,
    }
}

/// Resolves names for the HTTP client, which connects to the addresses that were checked here and to no other.
pub(crate) struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            let (allowed, refused): (Vec<_>, Vec<_>) =
                found.into_iter().partition(|address| may_connect(&host, address.ip()));
            match (allowed.as_slice(), refused.first()) {
                ([], Some(address)) => Err(Forbidden {
                    host,
                    address: address.ip(),
                }
                .into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

/// A name leads to addresses that it may not be at.
#[derive(Debug, thiserror::Error)]
#[error(
    "the name {host} leads to {address}, an address of no public network; grant the address itself if that is meant"
)]
pub(crate) struct Forbidden {
    host: String,
    address: IpAddr,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(allow: &[&str], url: &str) -> Result<(), String> {
        let allow: Vec<_> = allow.iter().map(ToString::to_string).collect();
        Egress::new(&allow)?.check(&Url::parse(url).unwrap())
    }

    #[test]
    fn only_granted_origins_are_reached() {
        let allow = ["https://crm.example.com", "http://localhost:8080"];
        for url in [
            "https://crm.example.com/v3?x",
            "https://CRM.example.com:443/",
            "http://localhost:8080/a",
        ] {
            assert_eq!(check(&allow, url), Ok(()), "{url}");
        }
        for url in [
            "http://crm.example.com/",
            "https://crm.example.com:8443/",
            "https://crm.example.com.evil.org/",
            "https://example.com/",
            "https://crm.example.com./",
            "http://localhost/",
            "http://127.0.0.1:8080/",
            "https://user@crm.example.com/",
            "https://crm.example.com@evil.org/",
            "file:///etc/passwd",
        ] {
            assert!(check(&allow, url).is_err(), "{url}");
        }
    }

    #[test]
    fn every_spelling_of_an_address_is_the_address() {
        assert!(check(&["http://127.0.0.1"], "http://0x7f.1/").is_ok());
        assert!(check(&["https://crm.example.com"], "http://2130706433/").is_err());
    }

    #[test]
    fn an_entry_that_is_no_origin_is_refused() {
        for entry in [
            "crm.example.com",
            "https://crm.example.com/v3",
            "ftp://crm.example.com",
            "https://*/x",
            "",
        ] {
            assert!(
                Egress::new(&[entry.to_owned()]).unwrap_err().contains("is no origin"),
                "{entry}"
            );
        }
    }

    #[test]
    fn a_public_name_is_at_public_addresses_only() {
        let inner = [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "ff02::1",
            "fd00:ec2::254",
        ];
        for address in inner {
            assert!(!may_connect("crm.example.com", address.parse().unwrap()), "{address}");
        }
        for address in ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"] {
            assert!(may_connect("crm.example.com", address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn a_name_of_ones_own_may_be_private_but_never_link_local() {
        assert!(may_connect("localhost", "127.0.0.1".parse().unwrap()));
        assert!(!may_connect("localhost", "10.0.0.1".parse().unwrap()));
        assert!(may_connect("receiver", "172.18.0.2".parse().unwrap()));
        assert!(may_connect("crm.internal", "10.0.0.1".parse().unwrap()));
        assert!(!may_connect(
            "metadata.google.internal",
            "169.254.169.254".parse().unwrap()
        ));
    }
}
