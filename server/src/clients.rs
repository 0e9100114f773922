//! Which client asks? An account, wherever it is; for everybody else, a network.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderMap};
use cooperage_protocol::UserId;
use ipnet::IpNet;

/// Whom the requests of one client are counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Client {
    /// Somebody with an account.
    Account(UserId),
    /// Whoever has this address; of IPv6 this network of 64 bits, since who has one of its addresses
    /// has all of them.
    Network(IpAddr),
    /// Those of whom nothing is known, together.
    Unknown,
}

impl Client {
    /// Whoever is at an address.
    pub(crate) fn at(address: Option<IpAddr>) -> Self {
        match address {
            Some(IpAddr::V6(address)) => {
                let network = address.to_bits() & (u128::MAX << 64);
                Self::Network(Ipv6Addr::from_bits(network).into())
            }
            Some(address) => Self::Network(address),
            None => Self::Unknown,
        }
    }
}

/// Where a request comes from, as far as that is known.
///
/// # Security
///
/// Everybody can send `X-Forwarded-For`. Only what a proxy that is trusted added to it counts: its
/// last address, or that before the trusted ones.
pub(crate) fn address_of(
    trusted: &[IpNet],
    headers: &HeaderMap,
    extensions: &Extensions,
) -> Option<IpAddr> {
    let ConnectInfo(peer) = extensions.get::<ConnectInfo<SocketAddr>>()?;
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut client = peer.ip().to_canonical();
    let values = headers.get_all("x-forwarded-for").into_iter().rev();
    let addresses = values.flat_map(|value| value.to_str().unwrap_or("?").rsplit(','));
    for forwarded in addresses.map(parse) {
        match forwarded {
            Some(forwarded) if is_trusted(&client) => client = forwarded,
            _ => break,
        }
    }
    Some(client)
}

/// Some proxies write the port too.
fn parse(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let address = text.parse::<IpAddr>();
    let address = address.or_else(|_| text.parse::<SocketAddr>().map(|it| it.ip()));
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(peer: &str, forwarded: &[&str]) -> String {
        let trusted = ["127.0.0.0/8", "10.0.0.0/24"].map(|network| network.parse().unwrap());
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let mut extensions = Extensions::new();
        extensions.insert(ConnectInfo::<SocketAddr>(peer.parse().unwrap()));
        address_of(&trusted, &headers, &extensions)
            .unwrap()
            .to_string()
    }

    #[test]
    fn only_a_trusted_proxy_says_where_a_request_comes_from() {
        let chain = ["192.0.2.1, 192.0.2.7"];
        for (peer, forwarded, client) in [
            ("127.0.0.1:9", &chain[..], "192.0.2.7"),
            ("192.0.2.9:9", &chain, "192.0.2.9"),
            ("[::ffff:127.0.0.1]:9", &chain, "192.0.2.7"),
            ("127.0.0.1:9", &["192.0.2.1", "192.0.2.7"], "192.0.2.7"),
            (
                "127.0.0.1:9",
                &["192.0.2.1, 192.0.2.7, 10.0.0.4"],
                "192.0.2.7",
            ),
            ("127.0.0.1:9", &["192.0.2.7:4711"], "192.0.2.7"),
            ("127.0.0.1:9", &["[2001:db8::7]:4711"], "2001:db8::7"),
            ("127.0.0.1:9", &["192.0.2.1, nonsense"], "127.0.0.1"),
            ("127.0.0.1:9", &[], "127.0.0.1"),
        ] {
            assert_eq!(address(peer, forwarded), client, "{peer} {forwarded:?}");
        }
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let client = |address: &str| Client::at(address.parse().ok());

        assert_eq!(client("2001:db8::1"), client("2001:db8::ffff:1"));
        assert_ne!(client("2001:db8::1"), client("2001:db8:0:1::1"));
        assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
    }
}
