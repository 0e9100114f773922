//! Builds whose root file system is an overlay: what scripts see there, and what becomes of it.

use std::fs;
use std::io::Read;
use std::path::Path;

use cooperage_image::sandbox::Identity;
use cooperage_image::{Output, Roots};
use tar::{Builder, EntryType, Header};

use crate::Case;
use crate::machine::IDENTITIES;
use crate::stages::Place;

pub(crate) const CASES: &[Case] = &[
    (
        "an overlay and a folder become the same image",
        an_overlay_and_a_folder_become_the_same_image,
    ),
    ("a base is unpacked once", a_base_is_unpacked_once),
    (
        "a damaged base of the cache is unpacked again",
        a_damaged_base_is_unpacked_again,
    ),
];

/// An OCI archive with one layer, in which there are owners that not every namespace has.
pub(crate) fn write_base(path: &Path) {
    let mut layer = Builder::new(Vec::new());
    let mut put = |name: &str, kind: EntryType, (mode, owner): (u32, u64), content: &[u8]| {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(owner);
        header.set_gid(owner);
        header.set_mtime(1_000_000_000);
        header.set_size(content.len() as u64);
        layer.append_data(&mut header, name, content).unwrap();
    };
    let busybox = fs::read("/bin/busybox").unwrap();
    put("./", EntryType::Directory, (0o755, 3), b"");
    for folder in [
        "bin",
        "etc",
        "lower",
        "lower/sub",
        "gone",
        "emptied",
        "data",
    ] {
        put(folder, EntryType::Directory, (0o755, 0), b"");
    }
    put("bin/busybox", EntryType::Regular, (0o755, 0), &busybox);
    put("bin/sh", EntryType::Regular, (0o755, 0), &busybox);
    let account = b"root:x:0:0::/root:/bin/sh\n";
    for file in ["etc/passwd", "etc/shadow", "etc/resolv.conf"] {
        put(file, EntryType::Regular, (0o640, 42), account);
    }
    put("lower/sub/file", EntryType::Regular, (0o640, 0), b"");
    for file in ["gone/file", "emptied/old", "data/kept", "data/changed"] {
        put(file, EntryType::Regular, (0o600, 7), file.as_bytes());
    }
    write_layout(path, &layer.into_inner().unwrap());
}

fn write_layout(path: &Path, layer: &[u8]) {
    let digest = |bytes: &[u8]| hex::encode(<sha2::Sha256 as sha2::Digest>::digest(bytes));
    let layer_digest = digest(layer);
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":["sha256:{layer_digest}"]}}}}"#
    );
    let manifest = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:{}","size":{}}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:{layer_digest}","size":{}}}]}}"#,
        digest(config.as_bytes()),
        config.len(),
        layer.len()
    );
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:{}","size":{}}}]}}"#,
        digest(manifest.as_bytes()),
        manifest.len()
    );
    let blobs = path.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    for blob in [layer, config.as_bytes(), manifest.as_bytes()] {
        fs::write(blobs.join(digest(blob)), blob).unwrap();
    }
    fs::write(path.join("index.json"), index).unwrap();
    fs::write(path.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}

/// What every file of an image is, and what is in it.
pub(crate) fn content(image: &Path) -> Vec<String> {
    let partition = cooperage_image::sif::open(image).unwrap();
    let partition = partition.primary_partition().unwrap();
    let part = cooperage_image::squashfs::Part {
        file: &fs::File::open(image).unwrap(),
        offset: partition.offset,
        length: partition.size,
    };
    let bounds = cooperage_image::squashfs::Bounds {
        limits: cooperage_image::Limits::default(),
        cancel: &cooperage_image::Cancel::default(),
    };
    let mut told = Vec::new();
    cooperage_image::squashfs::read_as_tar(part, bounds, |tar| {
        for entry in tar::Archive::new(tar).entries().unwrap() {
            told.push(describe(entry.unwrap()));
        }
        Ok(())
    })
    .unwrap();
    told
}

fn describe<R: Read>(mut entry: tar::Entry<'_, R>) -> String {
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).unwrap();
    let header = entry.header();
    let (kind, mode) = (header.entry_type(), header.mode().unwrap());
    let (uid, gid) = (header.uid().unwrap(), header.gid().unwrap());
    let path = entry.path().unwrap();
    let link = entry.link_name().unwrap().unwrap_or_default();
    let hash = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&bytes));
    let modified = match header.mtime().unwrap() {
        1_000_000_000 => "as it was",
        _ => "now",
    };
    format!(
        "{} {kind:?} {mode:o} {uid}:{gid} {modified} {} {hash}",
        path.display(),
        link.display()
    )
}

/// What package managers and people do to files that came from below.
const SCRIPT: &str = r"
%post
    bb=/bin/busybox
    $bb rm -r /gone && $bb mkdir /gone && echo new > /gone/new
    $bb rm -r /emptied && echo file > /emptied
    $bb mv /lower /moved
    $bb ln -s moved /lower
    $bb mv /etc/shadow /etc/shadow- && $bb chmod 600 /etc/shadow-
    $bb chmod -R g+w /data
    echo more >> /data/changed
    echo x > /data/.wh.literal
    $bb mkfifo /data/fifo
    $bb ln /data/kept /data/second
    $bb ln -s /nowhere /data/link
    $bb rm /etc/passwd
    echo 'root:x:0:0::/:/bin/sh' > /etc/passwd.new && $bb mv /etc/passwd.new /etc/passwd
    $bb touch -d @1000000000 /data/new
%runscript
    exec cat /etc/passwd
";

fn an_overlay_and_a_folder_become_the_same_image() {
    for identity in IDENTITIES {
        let mut place = Place::new(identity);
        write_base(&place.path("base"));
        let definition = format!("Bootstrap: oci\nFrom: base\n{SCRIPT}");
        let mut images = Vec::new();
        for (name, roots) in [("a.sif", Roots::Overlays), ("b.sif", Roots::Folders)] {
            place.roots = roots;
            let mut request = place.request(&definition, Output::Sif(place.path(name)));
            request.epoch = Some(1_700_000_000);
            let (built, log) = place.build(&request);
            assert!(built.is_ok(), "{built:?}: {log}");
            images.push(content(&place.path(name)));
        }
        let is_kept = fs::read_dir(place.path("cache/lowers")).unwrap().count();
        assert!(is_kept > 0, "the first was no overlay");

        for (one, other) in images[0].iter().zip(&images[1]) {
            assert_eq!(one, other, "{identity:?}");
        }
        assert_eq!(images[0].len(), images[1].len());
        let has = |text: &str| images[0].iter().any(|file| file.starts_with(text));
        assert!(
            has("etc/shadow- Regular 600 42:42 as it was"),
            "{images:#?}"
        );
        assert!(has("data/changed Regular 620 7:7 now"), "{images:#?}");
        assert!(has("data/.wh.literal"), "{images:#?}");
    }
}

fn bases(place: &Place) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(place.path("cache/lowers")).unwrap();
    let folders = entries.map(|entry| entry.unwrap().path());
    folders.filter(|path| path.is_dir()).collect()
}

fn a_base_is_unpacked_once() {
    let place = Place::new(Identity::Auto);
    write_base(&place.path("base"));
    let build = |name: &str, script: &str| {
        let definition = format!("Bootstrap: oci\nFrom: base\n%post\n    {script}\n");
        let request = place.request(&definition, Output::Sif(place.path(name)));
        let (built, log) = place.build(&request);
        assert!(built.is_ok(), "{built:?}: {log}");
        log
    };

    let first = build("a.sif", "echo > /etc/passwd; /bin/busybox rm -r /data");
    let second = build("b.sif", "/bin/busybox cat /etc/passwd /data/kept");

    assert!(first.contains("unpacking layer"), "{first}");
    assert!(!second.contains("unpacking layer"), "{second}");
    assert!(second.contains("root:x:0:0"), "{second}");
    assert_eq!(bases(&place).len(), 1);
}

fn a_damaged_base_is_unpacked_again() {
    let place = Place::new(Identity::Auto);
    write_base(&place.path("base"));
    let definition = "Bootstrap: oci\nFrom: base\n";
    let build = |name: &str| {
        let (built, log) = place.build(&place.request(definition, Output::Sif(place.path(name))));
        assert!(built.is_ok(), "{built:?}: {log}");
        log
    };
    build("a.sif");
    let base = bases(&place).remove(0);
    fs::write(base.join("ledger"), "{}").unwrap();
    fs::create_dir(place.path("cache/lowers/partial-killed")).unwrap();

    let log = build("b.sif");

    assert!(log.contains("unpacking layer"), "{log}");
    assert_eq!(bases(&place), [base]);
    assert_eq!(
        content(&place.path("a.sif")).len(),
        content(&place.path("b.sif")).len()
    );
}
