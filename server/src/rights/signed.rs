//! What does the hub say that it can prove later to have said? Texts with a signature of its own.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::auth;
use crate::error::Error;
use crate::state::Hub;

/// What a signature is for: one for a link is none for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A short-lived token of the registry protocol.
    RegistryToken,
    /// An address that something is sent to, without an account.
    Upload,
    /// An address that the files of a remote build are sent to.
    BuildContext,
    /// A link to a file.
    Link,
}

/// Signs a text.
pub(crate) fn sign(hub: &Hub, purpose: Purpose, text: &str) -> Result<String, Error> {
    let bytes = mac(hub, purpose, text)?.finalize().into_bytes();
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Whether the hub signed this text for this purpose; compared in constant time.
pub(crate) fn is_signed(
    hub: &Hub,
    purpose: Purpose,
    text: &str,
    signature: &str,
) -> Result<bool, Error> {
    let Ok(bytes) = URL_SAFE_NO_PAD.decode(signature) else {
        return Ok(false);
    };
    Ok(mac(hub, purpose, text)?.verify_slice(&bytes).is_ok())
}

fn mac(hub: &Hub, purpose: Purpose, text: &str) -> Result<Hmac<Sha256>, Error> {
    let key = auth::read_or_make_secret(&hub.config.data.join("signing-key"))?;
    let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).map_err(anyhow::Error::from)?;
    let purpose = match purpose {
        Purpose::RegistryToken => "registry-token",
        Purpose::Upload => "upload",
        Purpose::BuildContext => "build-context",
        Purpose::Link => "link",
    };
    Ok(mac
        .chain_update(purpose)
        .chain_update([0])
        .chain_update(text))
}
