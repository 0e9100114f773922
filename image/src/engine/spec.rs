//! What may stand in the place of a definition: the address of an image, or an image.

use std::path::Path;

/// Agents whose images have addresses.
const AGENTS: [&str; 9] = [
    "docker-archive",
    "docker-daemon",
    "docker",
    "library",
    "localimage",
    "oci-archive",
    "oci",
    "oras",
    "shub",
];

/// The definition that an address like `docker://ubuntu` or `oci-archive:FILE` stands for; nothing
/// if it is no address.
pub fn definition_of_uri(text: &str) -> Option<String> {
    let (agent, from) = text.split_once(':')?;
    let from = from.strip_prefix("//").unwrap_or(from);
    let is_whole = !from.is_empty() && !from.contains(['\n', '\r']);
    (AGENTS.contains(&agent) && is_whole).then(|| definition(agent, from))
}

/// The definition that an image file or a sandbox stands for; nothing if it is neither.
pub fn definition_of_image(path: &Path) -> Option<String> {
    let is_image = path.join(".singularity.d").is_dir() || is_image_file(path);
    let from = path.to_str().filter(|_| is_image)?;
    Some(definition("localimage", from))
}

fn definition(agent: &str, from: &str) -> String {
    format!("bootstrap: {agent}\nfrom: {from}\n\n")
}

/// No definition holds a zero byte near its beginning, and every image does.
fn is_image_file(path: &Path) -> bool {
    use std::io::Read;
    let mut head = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(4096).read_to_end(&mut head));
    read.is_ok() && head.contains(&0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_stands_for_a_definition_with_its_agent() {
        for (uri, agent, from) in [
            ("docker://ubuntu:22.04", "docker", "ubuntu:22.04"),
            ("docker://host:5000/x", "docker", "host:5000/x"),
            (
                "oci-archive:dir/file.tar:tag",
                "oci-archive",
                "dir/file.tar:tag",
            ),
            ("oci:/layout", "oci", "/layout"),
            ("shub://a/b", "shub", "a/b"),
        ] {
            let expected = format!("bootstrap: {agent}\nfrom: {from}\n\n");
            assert_eq!(definition_of_uri(uri), Some(expected));
        }
        for path in [
            "Singularity",
            "C:/x",
            "docker:",
            "dir/docker://x",
            "https://x",
            "docker://a\n%post",
        ] {
            assert_eq!(definition_of_uri(path), None, "{path}");
        }
    }

    #[test]
    fn an_image_is_told_from_a_definition() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("image"), b"#!/bin/sh\nx\0\0\0").unwrap();
        std::fs::write(path("text"), b"Bootstrap: scratch\n").unwrap();
        std::fs::create_dir_all(path("sandbox/.singularity.d")).unwrap();

        assert!(definition_of_image(&path("image")).is_some());
        assert!(definition_of_image(&path("sandbox")).is_some());
        assert!(definition_of_image(&path("text")).is_none());
        assert!(definition_of_image(folder.path()).is_none());
    }
}
