use std::fs::File;
use std::io::{Seek as _, Write as _};

use pgp::packet::SubpacketData;
use pgp::types::Duration;
use serde_json::json;

use super::*;
use crate::sif::format::{DESCRIPTOR_SIZE, SIGNATURE, TABLE_OFFSET};
use crate::sif::test_keys::{MADE, Signer};
use crate::sif::{SifContents, Squashfs, from_file, head};

fn image() -> Vec<u8> {
    let contents = SifContents {
        definition: "Bootstrap: scratch\n",
        objects: vec![("inspect-metadata.json", b"{}")],
        squashfs: Squashfs {
            size: 4096,
            identity: [7; 32],
        },
        architecture: "amd64",
        time: 1_700_000_000,
    };
    [head(&contents).unwrap(), vec![7; 4096]].concat()
}

fn sif(bytes: &[u8]) -> Sif {
    let mut file: File = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    from_file(file).unwrap()
}

/// What is to be signed of an image: of everything in its only group.
fn statement(bytes: &[u8]) -> String {
    let sif = sif(bytes);
    let digest = |mut bytes: &[u8]| format!("sha256:{}", hash::<Sha256>(&mut bytes).unwrap());
    let objects = contents(&sif).map(|object| {
        let relative = object.id - 1;
        json!({
            "relativeId": relative,
            "descriptorDigest": digest(&descriptor(object, relative)),
            "objectDigest": digest(&sif.read(object).unwrap()),
        })
    });
    let objects: Vec<_> = objects.collect();
    let header = digest(&[&sif.header[..45], &sif.header[48..64]].concat());
    json!({"version": 1, "header": {"digest": header}, "objects": objects}).to_string()
}

/// The descriptor of an image at this place in its table.
fn slot(bytes: &mut [u8], number: usize) -> &mut [u8] {
    let start = usize::try_from(TABLE_OFFSET).unwrap() + number * DESCRIPTOR_SIZE;
    &mut bytes[start..start + DESCRIPTOR_SIZE]
}

/// The image with another object, a signature of what the number says.
fn with_signature(image: &[u8], signer: &Signer, message: &str, link: u32) -> Vec<u8> {
    let mut bytes = image.to_vec();
    let number = sif(image).objects.len();
    let id = u32::try_from(number).unwrap() + 1;
    let (start, size) = (image.len() as u64, message.len() as u64);
    let mut fields = [SIGNATURE.to_le_bytes().as_slice(), &[1], &id.to_le_bytes()].concat();
    fields.extend(GROUP.to_le_bytes());
    fields.extend(link.to_le_bytes());
    fields.extend(start.to_le_bytes());
    fields.extend(size.to_le_bytes());
    fields.resize(205, 0);
    fields.extend(hex::decode(signer.fingerprint().to_string()).unwrap());
    slot(&mut bytes, number)[..fields.len()].copy_from_slice(&fields);
    bytes.extend_from_slice(message.as_bytes());
    bytes
}

/// The image with a signature of all of it.
fn signed(image: &[u8], signer: &Signer) -> Vec<u8> {
    let message = signer.sign(&statement(image), 5, &[]);
    with_signature(image, signer, &message, GROUP | 1)
}

fn at(after: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(i64::from(MADE) + after, 0).unwrap()
}

/// What is wrong with the signatures of a key, so many seconds after it was made.
fn complaint(bytes: &[u8], signer: &Signer, after: i64) -> String {
    let sif = sif(bytes);
    let verified = Signatures::of(&sif, signer.fingerprint())
        .and_then(|signatures| signatures.verify(&signer.key(), at(after)));
    verified.map_or_else(|error| error.to_string(), |()| String::new())
}

#[test]
fn what_a_key_signed_is_verified_with_it_and_only_unchanged() {
    let (ada, eve) = (Signer::new(), Signer::new());
    let bytes = signed(&image(), &ada);
    let mut changed = bytes.clone();
    let end = image().len();
    changed[end - 1] ^= 1;
    let forged = eve.sign(&statement(&image()), 5, &[]);
    let forged = with_signature(&image(), &ada, &forged, GROUP | 1);

    assert_eq!(complaint(&bytes, &ada, 10), "");
    assert!(complaint(&bytes, &eve, 10).contains("no signature of the key"));
    assert!(complaint(&changed, &ada, 10).contains("is not valid"));
    assert!(complaint(&forged, &ada, 10).contains("is not valid"));
    assert!(complaint(&image(), &ada, 10).contains("no signature of the key"));
}

#[test]
fn a_key_counts_until_its_end_and_until_it_is_revoked() {
    let ada = Signer::new().lasting(1000);
    let bytes = signed(&image(), &ada);

    assert_eq!(complaint(&bytes, &ada, 1000), "");
    let expired = complaint(&bytes, &ada, 1001);
    assert!(
        expired.contains("expired on 2023-11-14 at 22:30 UTC"),
        "{expired}"
    );
    assert!(complaint(&bytes, &ada, -1).contains("is in the future"));
    let renewed = ada.lasting(1000).saying(500, &[]);
    let renewed_again = complaint(&signed(&image(), &renewed), &renewed, 1001);
    assert_eq!(renewed_again, "");
    let revoked = renewed.revoked();
    let told = complaint(&signed(&image(), &revoked), &revoked, 20);
    assert!(told.contains("was revoked"), "{told}");
}

#[test]
fn a_signature_counts_within_its_time() {
    let ada = Signer::new();
    let lasts = SubpacketData::SignatureExpirationTime(Duration::from_secs(100));
    let message = ada.sign(&statement(&image()), 5, &[lasts]);
    let bytes = with_signature(&image(), &ada, &message, GROUP | 1);

    assert_eq!(complaint(&bytes, &ada, 105), "");
    assert!(complaint(&bytes, &ada, 106).contains("expired on"));
    assert!(complaint(&bytes, &ada, 4).contains("is in the future"));
}

#[test]
fn a_subkey_signs_for_its_key_until_it_is_taken_back() {
    let ada = Signer::new();
    let message = ada.sign_with_subkey(&statement(&image()));
    let bytes = with_signature(&image(), &ada, &message, GROUP | 1);

    assert_eq!(complaint(&bytes, &ada, 20), "");
    let ada = ada.without_subkey();
    let told = complaint(&bytes, &ada, 20);
    assert!(told.contains("what signed was revoked"), "{told}");
}

#[test]
fn signatures_of_old_versions_do_not_count() {
    let ada = Signer::new();
    let mut content: &[u8] = &image();
    let digest = hash::<Sha256>(&mut content).unwrap();
    let message = ada.sign(&format!("SIFHASH:\n{digest}"), 5, &[]);
    let old = with_signature(&image(), &ada, &message, GROUP | 1);
    let of_one_object = with_signature(&image(), &ada, &message, 3);

    for bytes in [&old, &of_one_object] {
        let told = complaint(bytes, &ada, 10);
        assert!(told.contains("Singularity before 3.6"), "{told}");
    }
    let message = ada.sign(&statement(&image()), 5, &[]);
    let both = with_signature(&old, &ada, &message, GROUP | 1);
    assert_eq!(complaint(&both, &ada, 10), "");
}

#[test]
fn an_object_that_was_added_is_covered_by_no_signature_whatever_number_it_has() {
    let ada = Signer::new();
    let bytes = signed(&image(), &ada);
    for (group, told) in [(2, "only a part"), (0, "only a part"), (1, "is not valid")] {
        for id in [1_u32, 3, 9] {
            let mut added = bytes.clone();
            let copy = slot(&mut added, 2).to_vec();
            let free = slot(&mut added, 4);
            free.copy_from_slice(&copy);
            free[5..9].copy_from_slice(&id.to_le_bytes());
            free[9..13].copy_from_slice(&(GROUP | group).to_le_bytes());

            let complaint = complaint(&added, &ada, 10);

            assert!(
                complaint.contains(told),
                "group {group}, object {id}: {complaint}"
            );
        }
    }
}
