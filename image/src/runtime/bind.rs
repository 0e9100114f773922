//! Bind mounts as a command line spells them.

use std::path::PathBuf;

pub use crate::sandbox::Bind;

/// Reads `SOURCE[:TARGET[:ro|rw]]`, several of them with commas between. A backslash takes its
/// meaning from a colon or a comma.
pub fn parse_binds(text: &str) -> Result<Vec<Bind>, String> {
    let mut binds: Vec<Bind> = Vec::new();
    for part in split(text, ',').iter().filter(|part| !part.is_empty()) {
        let fields = split(part, ':');
        match (fields.as_slice(), binds.last_mut()) {
            ([option], Some(last)) if is_option(option) => set_option(last, option)?,
            _ => binds.push(bind(&fields)?),
        }
    }
    Ok(binds)
}

fn bind(fields: &[String]) -> Result<Bind, String> {
    let (source, rest) = fields.split_first().ok_or("names no source")?;
    let target = rest.first().filter(|target| !target.is_empty());
    let mut bind = Bind {
        source: PathBuf::from(plain(source)),
        target: PathBuf::from(plain(target.unwrap_or(source))),
        read_only: false,
    };
    if !bind.target.is_absolute() && target.is_some() {
        return Err(format!("{} is no absolute path", bind.target.display()));
    }
    if rest.len() > 2 {
        return Err("has more than SOURCE:TARGET:OPTION".to_owned());
    }
    if let Some(option) = rest.get(1) {
        set_option(&mut bind, option)?;
    }
    Ok(bind)
}

fn is_option(text: &str) -> bool {
    matches!(text, "ro" | "rw")
}

fn set_option(bind: &mut Bind, option: &str) -> Result<(), String> {
    if !is_option(option) {
        return Err(format!("option {option:?} is not known, ro and rw are"));
    }
    bind.read_only = option == "ro";
    Ok(())
}

/// Splits at a letter that no backslash stands before.
fn split(text: &str, at: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut is_escaped = false;
    for letter in text.chars() {
        if letter == at && !is_escaped {
            parts.push(String::new());
        } else if let Some(last) = parts.last_mut() {
            last.push(letter);
        }
        is_escaped = letter == '\\' && !is_escaped;
    }
    parts
}

fn plain(text: &str) -> String {
    text.replace("\\:", ":").replace("\\,", ",")
}

/// Reads `type=bind,source=…,destination=…[,ro]`.
pub fn parse_mount(text: &str) -> Result<Bind, String> {
    let (mut source, mut target, mut read_only) = (None, None, false);
    for field in text.split(',') {
        let (key, value) = field.split_once('=').unwrap_or((field, ""));
        match key {
            "type" if value == "bind" => {}
            "type" => return Err(format!("type {value:?} is not known, bind is")),
            "source" | "src" => source = Some(PathBuf::from(value)),
            "destination" | "dst" | "target" => target = Some(PathBuf::from(value)),
            "ro" | "readonly" => read_only = value != "false",
            "rw" => read_only = false,
            other => return Err(format!("{other:?} is not known in a mount")),
        }
    }
    let source = source.ok_or("has no source=")?;
    let target = target.ok_or("has no destination=")?;
    if !target.is_absolute() {
        return Err(format!("{} is no absolute path", target.display()));
    }
    Ok(Bind {
        source,
        target,
        read_only,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(source: &str, target: &str, read_only: bool) -> Bind {
        Bind {
            source: PathBuf::from(source),
            target: PathBuf::from(target),
            read_only,
        }
    }

    #[test]
    fn binds_are_read_as_apptainer_reads_them() {
        let cases = [
            ("/a", vec![bind("/a", "/a", false)]),
            ("/a:/b:ro", vec![bind("/a", "/b", true)]),
            (
                "/a,/b:/c",
                vec![bind("/a", "/a", false), bind("/b", "/c", false)],
            ),
            ("/a:/b:rw,ro", vec![bind("/a", "/b", true)]),
            (r"/a\:b:/c\,d", vec![bind("/a:b", "/c,d", false)]),
            ("", vec![]),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_binds(text), Ok(expected), "{text}");
        }
        for text in ["/a:b", "/a:/b:nope", "/a:/b:ro:rw"] {
            assert!(parse_binds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_mount_names_source_and_destination() {
        let mount = parse_mount("type=bind,src=/a,dst=/b,ro");

        assert_eq!(mount, Ok(bind("/a", "/b", true)));
        for text in [
            "type=tmpfs,dst=/b",
            "src=/a",
            "src=/a,dst=b",
            "src=/a,dst=/b,x=y",
        ] {
            assert!(parse_mount(text).is_err(), "{text}");
        }
    }
}
