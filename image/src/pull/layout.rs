//! Of which pieces is an image of a hub made? A hub answers that below the image's own address.

use std::io::Read as _;

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde::Deserialize;
use url::Url;

use super::Source;
use crate::download::Web;
use crate::error::Error;

/// What a hub says of an image, at its address with `.layout` behind it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Layout {
    /// SHA-256 of the whole image, `sha256:` and 64 hex digits.
    pub(super) digest: String,
    /// Its pieces, one behind the other.
    pub(super) extents: Vec<Extent>,
}

/// A piece of an object.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Extent {
    /// SHA-256 of the object, as of the image.
    pub(super) object: String,
    /// Where the piece begins in the object.
    pub(super) offset: u64,
    /// How long it is.
    pub(super) length: u64,
}

const TYPE: &str = "application/vnd.cooperage.layout+json";
const MOST_BYTES: u64 = 32 << 20;

impl Layout {
    /// Asks for it; nothing if the address is not one of a hub, or the image is one piece.
    pub(super) fn of(source: Source<'_>) -> Result<Option<Self>, Error> {
        let mut url = source.url.clone();
        url.set_path(&format!("{}.layout", url.path()));
        let Some(text) = ask(source.web, &url) else {
            return Ok(None);
        };
        let layout: Self = serde_json::from_slice(&text).map_err(|_| Error::Base {
            message: format!("{url} is not what a hub answers"),
            help: None,
        })?;
        layout.check(&url)?;
        Ok((layout.extents.len() > 1).then_some(layout))
    }

    /// The size of the image in bytes.
    pub(super) fn size(&self) -> u64 {
        self.extents.iter().map(|extent| extent.length).sum()
    }

    /// Names become names of folders, and lengths are added.
    fn check(&self, url: &Url) -> Result<(), Error> {
        let ends = self.extents.iter().try_fold(0_u64, |position, extent| {
            extent.offset.checked_add(extent.length)?;
            position.checked_add(extent.length)
        });
        let is_right = |it: &Extent| is_digest(&it.object) && it.length > 0;
        if ends.is_some() && is_digest(&self.digest) && self.extents.iter().all(is_right) {
            return Ok(());
        }
        Err(Error::Base {
            message: format!("{url} has pieces that no image has"),
            help: None,
        })
    }
}

fn is_digest(text: &str) -> bool {
    let hex = text.strip_prefix("sha256:").unwrap_or_default();
    hex.len() == 64
        && hex
            .bytes()
            .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

/// A server that does not know of layouts answers anything, or nothing: the image itself can be
/// asked for all the same.
fn ask(web: &Web<'_>, url: &Url) -> Option<Vec<u8>> {
    let answer = web.ask(&Method::GET, url, &HeaderMap::new());
    let response = answer.ok()?.ok()?;
    let is_layout = response.headers().get(CONTENT_TYPE)?.as_bytes() == TYPE.as_bytes();
    if !is_layout || !response.status().is_success() {
        return None;
    }
    let mut text = Vec::new();
    let read = response.take(MOST_BYTES).read_to_end(&mut text);
    read.ok().map(|_| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_digest_names_no_folder() {
        let url = "http://hub.example.org/a/b/c.sif.layout".parse().unwrap();
        let digest = format!("sha256:{}", "0".repeat(64));
        let layout = |object: &str, offset, length| Layout {
            digest: digest.clone(),
            extents: vec![Extent {
                object: object.to_owned(),
                offset,
                length,
            }],
        };

        assert!(layout(&digest, 1, 2).check(&url).is_ok());
        for wrong in [
            layout("../../etc", 0, 1),
            layout(&digest.replace('0', "/"), 0, 1),
            layout(&digest, 0, 0),
            layout(&digest, u64::MAX, 1),
        ] {
            assert!(wrong.check(&url).is_err(), "{wrong:?}");
        }
    }
}
