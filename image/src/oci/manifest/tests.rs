use super::*;

const DIGEST: &str = "sha256:b5b2b2c507a0944348e0303114d8d93aaaa081732b86451d9bce1f432a537bc7";

fn index(entries: &[&str]) -> Vec<Descriptor> {
    let entries: Vec<_> = entries
        .iter()
        .map(|rest| format!(r#"{{"digest":"{DIGEST}",{rest}}}"#))
        .collect();
    let json = format!(
        r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
        entries.join(",")
    );
    match parse(json.as_bytes()).unwrap() {
        Document::Index(entries) => entries,
        Document::Image(_) => panic!("not an index"),
    }
}

fn image(layer_type: &str) -> Manifest {
    let json = format!(
        r#"{{"schemaVersion":2,"config":{{"digest":"{DIGEST}"}},
            "layers":[{{"mediaType":"{layer_type}","digest":"{DIGEST}","size":1}}]}}"#
    );
    match parse(json.as_bytes()).unwrap() {
        Document::Image(manifest) => *manifest,
        Document::Index(_) => panic!("not an image"),
    }
}

#[test]
fn the_entry_of_the_platform_is_chosen_and_attestations_are_not() {
    let entries = index(&[
        r#""size":1,"platform":{"os":"unknown","architecture":"unknown"}"#,
        r#""size":2,"platform":{"os":"linux","architecture":"arm64","variant":"v8"}"#,
        r#""size":3,"platform":{"os":"linux","architecture":"amd64"}"#,
    ]);

    assert_eq!(
        choose(&entries, &"amd64".parse().unwrap()).unwrap().size,
        Some(3)
    );
    assert_eq!(
        choose(&entries, &"aarch64".parse().unwrap()).unwrap().size,
        Some(2)
    );
    let error = choose(&entries, &"riscv64".parse().unwrap())
        .unwrap_err()
        .to_string();
    assert!(error.contains("linux/arm64/v8, linux/amd64"), "{error}");
}

#[test]
fn an_index_in_an_index_is_looked_into() {
    let entries = index(&[r#""mediaType":"application/vnd.oci.image.index.v1+json","size":7"#]);

    assert_eq!(
        choose(&entries, &"s390x".parse().unwrap()).unwrap().size,
        Some(7)
    );
}

#[test]
fn layers_of_all_forms_in_the_field_are_taken() {
    for kind in [
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.diff.tar.zstd",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.oci.image.layer.v1.tar+gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    ] {
        assert_eq!(image(kind).extractable_layers().unwrap().len(), 1, "{kind}");
    }
}

#[test]
fn an_artifact_is_not_an_image() {
    let artifact = image("application/vnd.sylabs.sif.layer.v1.sif");

    let error = artifact.extractable_layers().unwrap_err();

    assert!(error.to_string().contains("no extractable layers"));
}

#[test]
fn a_layer_in_a_form_that_nobody_knows_is_not_left_out() {
    let encrypted = "application/vnd.oci.image.layer.v1.tar+gzip+encrypted";
    let mut manifest = image(encrypted);
    let known = image("application/vnd.oci.image.layer.v1.tar+gzip");
    manifest.layers.extend(known.layers);

    let error = manifest.extractable_layers().unwrap_err();

    assert_eq!(error, Unusable::UnknownLayer(encrypted.to_owned()));
}

#[test]
fn variants_of_early_lists_are_understood() {
    let entries = index(&[
        r#""size":1,"platform":{"os":"linux","architecture":"arm","variant":"armv7"}"#,
        r#""size":2,"platform":{"os":"linux","architecture":"arm64","variant":"armv8"}"#,
    ]);

    for (platform, size) in [("arm/v7", 1), ("arm64", 2)] {
        let chosen = choose(&entries, &platform.parse().unwrap()).unwrap();
        assert_eq!(chosen.size, Some(size), "{platform}");
    }
}

#[test]
fn small_content_may_be_in_its_descriptor() {
    let entries = index(&[r#""size":2,"data":"e30=","urls":["https://a/b"]"#]);

    assert_eq!(entries[0].data.as_deref(), Some(&b"{}"[..]));
    assert_eq!(entries[0].urls, ["https://a/b"]);
}
