//! Which files differ?

use std::cmp::Ordering;
use std::sync::mpsc;
use std::thread;

use super::Told;
use super::difference::{Subject, compare as compare_facts, shown};
use super::entry::Entry;
use super::listing::{Files, MOST_WAITING, Next, Source};
use super::texts;
use crate::engine::{Cancel, Settings};
use crate::error::Error;

/// Reads both images, and tells of the files that are not the same.
pub(super) fn compare(
    settings: &Settings,
    sources: &[Source; 2],
    cancel: &Cancel,
    tell: Told<'_>,
) -> Result<(), Error> {
    let (compared, read) = thread::scope(|scope| {
        let both = sources.each_ref().map(|source| {
            let (sender, receiver) = mpsc::sync_channel(MOST_WAITING);
            let list = move || source.list(settings, cancel, &sender);
            (scope.spawn(list), Files::new(receiver))
        });
        let [(a, a_files), (b, b_files)] = both;
        // It owns the lists, so that who still reads learns when nobody listens any more.
        let compared = merge(a_files, b_files, tell);
        (compared, [a.join(), b.join()])
    });
    let mut failed = Vec::new();
    for (source, read) in sources.iter().zip(read) {
        let read = read.map_err(|_| Error::Internal("reading an image panicked".to_owned()))?;
        failed.extend(read.err().map(|error| named(error, &source.name)));
    }
    if cancel.is_cancelled() {
        return Err(Error::Cancelled);
    }
    compared?;
    // One that gave up because of the other has nothing to say.
    let is_reason = |error: &Error| !matches!(error, Error::Cancelled);
    failed.into_iter().find(is_reason).map_or(Ok(()), Err)
}

/// An error that says which of the images it is about.
fn named(error: Error, name: &str) -> Error {
    match error {
        Error::Base { message, help } if message.starts_with("image ") => Error::Base {
            message: format!("{name}: {message}"),
            help,
        },
        Error::Limit {
            kind,
            message,
            section,
        } => Error::Limit {
            kind,
            message: format!("{name}: {message}"),
            section,
        },
        other => other,
    }
}

/// Goes through both lists at once. It ends early when one breaks off, which its reader explains.
fn merge(mut a: Files, mut b: Files, tell: Told<'_>) -> Result<(), Error> {
    loop {
        match (a.next(), b.next()) {
            (Next::Broken, _) | (_, Next::Broken) | (Next::End, Next::End) => return Ok(()),
            (Next::File(entry), Next::End) => {
                a.put_back(entry);
                return rest(a, &mut |entry| tell_of(Some(entry), None, tell));
            }
            (Next::End, Next::File(entry)) => {
                b.put_back(entry);
                return rest(b, &mut |entry| tell_of(None, Some(entry), tell));
            }
            (Next::File(left), Next::File(right)) => match order(&left.path, &right.path) {
                Ordering::Equal => tell_of(Some(*left), Some(*right), tell)?,
                Ordering::Less => {
                    b.put_back(right);
                    tell_of(Some(*left), None, tell)?;
                }
                Ordering::Greater => {
                    a.put_back(left);
                    tell_of(None, Some(*right), tell)?;
                }
            },
        }
    }
}

fn rest(mut files: Files, tell: &mut dyn FnMut(Entry) -> Result<(), Error>) -> Result<(), Error> {
    while let Next::File(entry) = files.next() {
        tell(*entry)?;
    }
    Ok(())
}

/// A folder comes before what is in it, and that before the folder's next neighbour.
fn order(a: &[u8], b: &[u8]) -> Ordering {
    let names = |path| <[u8]>::split(path, |byte| *byte == b'/');
    match (a.is_empty(), b.is_empty()) {
        (false, false) => names(a).cmp(names(b)),
        (a, b) => b.cmp(&a),
    }
}

fn tell_of(a: Option<Entry>, b: Option<Entry>, tell: Told<'_>) -> Result<(), Error> {
    let path = a.as_ref().or(b.as_ref()).map(|entry| entry.path.clone());
    let path = path.unwrap_or_default();
    let texts = [&a, &b].map(|entry| entry.as_ref().and_then(|entry| entry.text.clone()));
    let name = format!("/{}", shown(&path));
    let [a, b] = [a, b].map(|entry| entry.map(|entry| entry.facts));
    if let Some(difference) = compare_facts((Subject::File, &name), a, b) {
        tell(difference)?;
        let [a, b] = texts;
        for difference in texts::compare(&path, a.as_deref(), b.as_deref()) {
            tell(difference)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_in_the_order_in_which_trees_are_read() {
        let ordered: [&[u8]; 6] = [b"", b"a", b"a/b", b"a/b/c", b"a-b", b"b"];

        assert!(
            ordered
                .windows(2)
                .all(|pair| order(pair[0], pair[1]) == Ordering::Less)
        );
        assert_eq!(order(b"a/b", b"a/b"), Ordering::Equal);
        assert_eq!(order(b"a-b", b"a/b"), Ordering::Greater);
        assert_eq!(order(b"", b""), Ordering::Equal);
    }
}
