//! The commands that pull an image from this hub: only those that work.

use url::Url;

/// A command to copy.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Command {
    /// What it uses.
    pub(super) label: &'static str,
    /// What to type.
    pub(super) text: String,
}

/// The commands for the image `TAG` or `sha256:…` of a collection.
pub(super) fn pull(public_url: &Url, collection: &str, reference: &str) -> Vec<Command> {
    let base = public_url.as_str().trim_end_matches('/');
    let address = format!("{base}/{collection}/{reference}.sif");
    let repository = collection.rsplit('/').next().unwrap_or_default();
    let short = reference
        .get(..19)
        .filter(|_| reference.starts_with("sha256:"));
    let file = format!(
        "{repository}_{}.sif",
        short.unwrap_or(reference).replace("sha256:", "")
    );
    let mut commands = vec![
        Command {
            label: "Apptainer",
            text: format!("apptainer pull {file} {address}"),
        },
        Command {
            label: "curl",
            text: format!("curl -fo {file} {address}"),
        },
    ];
    commands.extend(shub(public_url, collection, reference));
    commands
}

/// `shub://` has no place for a port, nor for a path before the collection's name.
fn shub(public_url: &Url, collection: &str, reference: &str) -> Option<Command> {
    let host = public_url
        .host_str()
        .filter(|_| public_url.port().is_none())?;
    if public_url.path() != "/" {
        return None;
    }
    let separator = if reference.starts_with("sha256:") {
        '@'
    } else {
        ':'
    };
    let reference = reference.trim_start_matches("sha256:");
    let reference = if separator == '@' {
        reference.get(..40)?
    } else {
        reference
    };
    let flag = if public_url.scheme() == "http" {
        "--no-https "
    } else {
        ""
    };
    let text = format!("apptainer pull {flag}shub://{host}/{collection}{separator}{reference}");
    Some(Command {
        label: "shub",
        text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(public_url: &str, reference: &str) -> Vec<String> {
        let commands = pull(&public_url.parse().unwrap(), "lab/tool", reference);
        commands.into_iter().map(|command| command.text).collect()
    }

    #[test]
    fn shub_is_offered_only_where_its_clients_can_go() {
        let shub = "apptainer pull shub://hub.example.org/lab/tool:v1";
        assert_eq!(texts("https://hub.example.org", "v1")[2], shub);
        let plain = "apptainer pull --no-https shub://127.0.0.2/lab/tool:v1";
        assert_eq!(texts("http://127.0.0.2", "v1")[2], plain);
        assert_eq!(texts("http://127.0.0.1:8080", "v1").len(), 2);
        assert_eq!(texts("https://example.org/hub", "v1").len(), 2);
    }

    #[test]
    fn files_get_names_without_colons() {
        let digest = format!("sha256:{}", "ab".repeat(32));

        let curl = &texts("https://hub.example.org", &digest)[1];

        let expected =
            format!("curl -fo tool_abababababab.sif https://hub.example.org/lab/tool/{digest}.sif");
        assert_eq!(*curl, expected);
    }
}
