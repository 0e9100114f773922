//! With which key does the hub sign what it builds, and how?
//!
//! It makes the key at its first start. The secret half lies sealed in the database, and no worker
//! ever has it; when the key is changed it is forgotten, and the public half stays for the images
//! that it signed.

use cooperage_protocol::Digest;
use cooperage_protocol::image::{Extent, Layout};
use md5::{Digest as _, Md5};
use sha2::Sha256;

use crate::db::keys::{self, SealedKey};
use crate::error::Error;
use crate::keyring::{Keyring, Sealed};
use crate::keystore;
use crate::openpgp::SigningKey;
use crate::sif::{self, Covers, NotSif, SifSignature, Source, Unsigned};
use crate::state::Hub;

/// A signed image: the one that was built, but for its head and its end.
#[derive(Debug)]
pub(crate) struct SignedImage {
    /// The bytes that it does not share with the one that was built: head and signature.
    pub(crate) own: Vec<u8>,
    /// Its pieces.
    pub(crate) layout: Layout,
    /// SHA-256 of the file.
    pub(crate) digest: Digest,
    /// MD5 of the file, in hex.
    pub(crate) md5: String,
    /// The signature.
    pub(crate) signature: SifSignature,
}

/// Signs an image that was built here. `None` when that cannot be done, which the log tells.
///
/// The same image gives the same signed image again, as long as the key is the same.
pub(crate) async fn sign(hub: &Hub, layout: &Layout) -> Result<Option<SignedImage>, Error> {
    let Some(key) = signing_key(hub).await? else {
        return Ok(None);
    };
    let (store, layout) = (hub.store.clone(), layout.clone());
    let signing = tokio::task::spawn_blocking(move || {
        let source = Source {
            store: &store,
            layout: &layout,
        };
        match sif::prepare(&source) {
            Ok(unsigned) => sign_with(&key, &source, &unsigned).map(Some),
            Err(NotSif::Wrong(why)) => {
                tracing::warn!("an image is published without a signature: {why}");
                Ok(None)
            }
            Err(NotSif::Unreadable(error)) => Err(error.into()),
        }
    });
    Ok(signing.await.map_err(anyhow::Error::from)??)
}

fn sign_with(
    key: &SigningKey,
    source: &Source<'_>,
    unsigned: &Unsigned,
) -> anyhow::Result<SignedImage> {
    let message = key.sign(&unsigned.text, unsigned.time)?;
    let fingerprint = key.public().fingerprint();
    let mut entity = [0; 20];
    hex::decode_to_slice(&fingerprint, &mut entity)?;
    let head = unsigned.signed_head(&entity, message.len());
    let (mut sha256, mut md5) = (Sha256::new(), Md5::new());
    let mut add = |piece: &[u8]| {
        sha256.update(piece);
        md5.update(piece);
    };
    add(&head);
    let body = unsigned.head_size()..source.layout.size();
    for piece in source.store.open_image(source.layout, body)?.pieces() {
        add(&piece?);
    }
    add(message.as_bytes());
    let own = [&head, message.as_bytes()].concat();
    Ok(SignedImage {
        layout: layout(source.layout, &own, head.len()),
        own,
        digest: Digest::from_bytes(sha256.finalize().into()),
        md5: hex::encode(md5.finalize()),
        signature: SifSignature {
            fingerprint: Some(fingerprint),
            covers: Covers::Everything,
            message,
        },
    })
}

/// The head of its own, what follows the head in the image that was built, and the signature.
fn layout(built: &Layout, own: &[u8], head: usize) -> Layout {
    let object = Digest::of(own);
    let piece = |offset: usize, length: usize| Extent {
        object,
        offset: offset as u64,
        length: length as u64,
    };
    let mut extents = vec![piece(0, head)];
    let mut skipped = head as u64;
    for extent in &built.0 {
        let cut = skipped.min(extent.length);
        skipped -= cut;
        if cut < extent.length {
            extents.push(Extent {
                object: extent.object,
                offset: extent.offset + cut,
                length: extent.length - cut,
            });
        }
    }
    extents.push(piece(head, own.len() - head));
    Layout(extents)
}

/// The key that the hub signs with; made when there is none. `None` when it does not open.
async fn signing_key(hub: &Hub) -> anyhow::Result<Option<SigningKey>> {
    if let Some(stored) = keys::signing_key(&hub.db).await? {
        return Ok(open(hub, &stored));
    }
    let mut tx = hub.db.begin().await?;
    keys::lock_signing_key(&mut tx).await?;
    if let Some(stored) = keys::signing_key(&mut *tx).await? {
        return Ok(open(hub, &stored));
    }
    let key = change(hub, &mut tx).await?;
    tx.commit().await?;
    Ok(Some(key))
}

/// Makes another key, and signs with it from now on; gives its fingerprint.
pub async fn rotate_key(hub: &Hub) -> Result<String, Error> {
    let mut tx = hub.db.begin().await?;
    keys::lock_signing_key(&mut tx).await?;
    let key = change(hub, &mut tx).await?;
    tx.commit().await?;
    Ok(key.public().fingerprint())
}

async fn change(hub: &Hub, db: &mut sqlx::PgConnection) -> anyhow::Result<SigningKey> {
    let key = SigningKey::make(&user_id(hub))?;
    let public = key.public();
    keys::insert_of_hub(&mut *db, &keystore::to_keep(&public)?).await?;
    keys::sign_with(db, &seal(hub, &key)?).await?;
    tracing::info!("images are signed with the key {}", public.fingerprint());
    Ok(key)
}

/// Makes a key when there is none, and seals it with today's key of the keyring.
pub(crate) async fn prepare(hub: &Hub) -> anyhow::Result<()> {
    let Some(key) = signing_key(hub).await? else {
        return Ok(());
    };
    let mut tx = hub.db.begin().await?;
    keys::lock_signing_key(&mut tx).await?;
    let keyring = Keyring::open(&hub.config)?;
    let stored = keys::signing_key(&mut *tx).await?;
    let mut ours = stored.filter(|stored| stored.fingerprint == key.public().fingerprint());
    if ours
        .take_if(|stored| keyring.is_old(&sealed(stored)))
        .is_some()
    {
        keys::sign_with(&mut tx, &seal(hub, &key)?).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Whose the key says it is: the hub at its address.
fn user_id(hub: &Hub) -> String {
    let host = hub.config.public_url.host_str().unwrap_or("localhost");
    format!("Cooperage hub at {host} <hub@{host}>")
}

fn seal(hub: &Hub, key: &SigningKey) -> anyhow::Result<SealedKey> {
    let fingerprint = key.public().fingerprint();
    let sealed = Keyring::open(&hub.config)?.seal(&key.armored()?, &context(&fingerprint))?;
    Ok(SealedKey {
        fingerprint,
        key_id: sealed.key_id,
        secret: sealed.bytes,
    })
}

fn open(hub: &Hub, stored: &SealedKey) -> Option<SigningKey> {
    let opened = Keyring::open(&hub.config)
        .and_then(|keyring| keyring.unseal(&sealed(stored), &context(&stored.fingerprint)))
        .and_then(|armored| SigningKey::parse(&armored));
    opened
        .inspect_err(|error| {
            let fingerprint = &stored.fingerprint;
            let told = "nothing is signed: the key";
            tracing::error!("{told} {fingerprint} cannot be used: {error:#}; rotate it");
        })
        .ok()
}

fn sealed(stored: &SealedKey) -> Sealed {
    Sealed {
        key_id: stored.key_id.clone(),
        bytes: stored.secret.clone(),
    }
}

/// Binds the secret to the key that it is of.
fn context(fingerprint: &str) -> String {
    format!("signing-key\n{fingerprint}")
}
