//! A client that asks too often: every protocol of Apptainer says so.

use cooperage_tests::apptainer::apptainer;
use cooperage_tests::{Hub, Options, http};

/// A `shub://` address has no place for a port.
const HOST: &str = "127.0.0.15";

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn apptainer_tells_of_too_many_requests_and_leaves_no_file() -> anyhow::Result<()> {
    let hub = Hub::start_with(Options {
        host: HOST,
        port: Some(80),
        workers: 0,
        settings: "[rates]\nanonymous_per_minute = 1\n".to_owned(),
    })?;
    http::client()?
        .get(hub.url("/"))
        .send()?
        .error_for_status()?;

    for (address, told) in [
        (format!("shub://{HOST}/lab/tool:v1"), "429"),
        (format!("http://{HOST}/lab/tool/v1.sif"), "429"),
        (
            format!("library://{HOST}/lab/tool/tool:v1"),
            "requests a minute",
        ),
        (format!("oras://{HOST}/lab/tool:v1"), "TOOMANYREQUESTS"),
    ] {
        let pulled = apptainer(hub.folder(), &["pull", "refused.sif", &address])?;
        assert!(!pulled.status.success(), "{address}");
        assert!(pulled.stderr.contains(told), "{address}: {}", pulled.stderr);
        assert!(!hub.folder().join("refused.sif").exists(), "{address}");
    }
    let known = hub.cooperage(&["builds"])?;
    known.success().map(drop)
}
