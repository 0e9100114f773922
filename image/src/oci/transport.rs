//! Why a host gave no answer, told apart from what the libraries say of it.

use std::error::Error as StdError;
use std::io;

/// What is between us and a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Obstacle {
    NoSuchHost,
    Refused,
    Timeout,
    /// It speaks something else than TLS.
    NotTls,
    Certificate(String),
    Other(String),
}

impl Obstacle {
    pub(super) fn of(error: &reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::Timeout;
        }
        let mut last = String::new();
        let mut cause = StdError::source(error);
        while let Some(error) = cause {
            last = error.to_string();
            if last.starts_with("dns error") {
                return Self::NoSuchHost;
            }
            if let Some(known) = error.downcast_ref::<io::Error>().and_then(of_io) {
                return known;
            }
            if let Some(known) = error.downcast_ref::<rustls::Error>().and_then(of_tls) {
                return known;
            }
            cause = error.source();
        }
        Self::Other(last)
    }

    /// Whether it will be the same when somebody asks again.
    pub(super) fn is_lasting(&self) -> bool {
        matches!(self, Self::NotTls | Self::Certificate(_))
    }

    /// What is to be told of a host.
    pub(super) fn sentence(&self, host: &str) -> String {
        match self {
            Self::NoSuchHost => format!("no host is called {host}"),
            Self::Refused => format!("nothing listens at {host}"),
            Self::Timeout => format!("{host} did not answer in time"),
            Self::NotTls => format!("{host} does not speak https"),
            Self::Certificate(what) => format!("the certificate of {host} is not accepted: {what}"),
            Self::Other(what) => format!("{host} cannot be reached: {what}"),
        }
    }

    /// What would be right.
    pub(super) fn help(&self, host: &str) -> String {
        match self {
            Self::NoSuchHost => {
                "check the spelling of the registry, and the machine's name servers".to_owned()
            }
            Self::Refused => {
                "check the port (HOST:PORT; 443 if there is none) and that the registry runs"
                    .to_owned()
            }
            Self::Timeout | Self::Other(_) => {
                "check the network, its firewalls, and the proxy in https_proxy".to_owned()
            }
            Self::NotTls => format!(
                "check the port; if the registry speaks plain http in a network that you trust, \
                 use --plain-http {host}"
            ),
            Self::Certificate(_) => {
                "check the host's name; the authority of a private registry has to be among the \
                 machine's own (update-ca-certificates)"
                    .to_owned()
            }
        }
    }
}

fn of_io(error: &io::Error) -> Option<Obstacle> {
    // What an I/O error wraps is not its source.
    if let Some(inner) = error.get_ref() {
        let of_inner = inner.downcast_ref::<io::Error>().and_then(of_io);
        let of_inner = of_inner.or_else(|| of_tls(inner.downcast_ref::<rustls::Error>()?));
        if of_inner.is_some() {
            return of_inner;
        }
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Some(Obstacle::Refused),
        io::ErrorKind::TimedOut => Some(Obstacle::Timeout),
        _ if error.to_string() == "tls handshake eof" => Some(Obstacle::NotTls),
        _ => None,
    }
}

fn of_tls(error: &rustls::Error) -> Option<Obstacle> {
    match error {
        rustls::Error::InvalidMessage(_) => Some(Obstacle::NotTls),
        rustls::Error::InvalidCertificate(what) => Some(Obstacle::Certificate(what.to_string())),
        _ => None,
    }
}
