//! Follows a build's log over server-sent events, and goes on where the connection broke off.

use std::io::{BufRead, BufReader, Write};
use std::time::{Duration, Instant};

use anyhow::Context;
use cooperage_protocol::admin::Build;
use cooperage_protocol::{BuildId, BuildState};
use reqwest::Method;
use serde_json::Value;

use crate::hub::{Hub, HubError};

/// How long a hub may be away before following is given up.
const PATIENCE: Duration = Duration::from_mins(2);

/// A stream is left after this time and resumed, so that a dead connection is noticed.
const LONGEST_STREAM: Duration = Duration::from_mins(10);

/// Writes the log to `out` as it grows and returns the build when it has ended.
pub(crate) fn follow(hub: &Hub, id: BuildId, out: &mut dyn Write) -> anyhow::Result<Build> {
    let mut offset = 0;
    let mut last_contact = Instant::now();
    loop {
        match follow_once(hub, id, &mut offset, out) {
            Ok(()) => last_contact = Instant::now(),
            Err(error) if is_passing(&error) && last_contact.elapsed() < PATIENCE => {
                tracing::warn!("connection lost, resuming: {error:#}");
            }
            Err(error) => return Err(error),
        }
        match hub.build(id) {
            Ok(build) if build.state.is_final() => {
                write_rest(hub, id, offset, out)?;
                return Ok(build);
            }
            Ok(_) => last_contact = Instant::now(),
            Err(error) if error.may_pass() && last_contact.elapsed() < PATIENCE => {}
            Err(error) => return Err(error.into()),
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Whether the connection broke, as opposed to the hub or our own output saying no.
fn is_passing(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_none_or(HubError::may_pass)
        && error.downcast_ref::<WriteError>().is_none()
}

/// The log cannot be written where it should go.
#[derive(Debug, thiserror::Error)]
#[error("log cannot be written")]
struct WriteError(#[source] std::io::Error);

fn write(out: &mut dyn Write, bytes: &[u8]) -> Result<(), WriteError> {
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .map_err(WriteError)
}

fn follow_once(
    hub: &Hub,
    id: BuildId,
    offset: &mut u64,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let request = hub
        .request(Method::GET, &format!("/builds/{id}/events"))
        .header("Accept", "text/event-stream")
        .header("Last-Event-ID", offset.to_string())
        .timeout(LONGEST_STREAM);
    let mut lines = BufReader::new(hub.send(request)?);
    while let Some(event) = read_event(&mut lines)? {
        match event.name.as_str() {
            "log" => {
                let text: String = serde_json::from_str(&event.data).context("event of the log")?;
                write(out, text.as_bytes())?;
                *offset = event.id.parse().unwrap_or(*offset + text.len() as u64);
            }
            "state" if is_final(&event.data) => return Ok(()),
            _ => {}
        }
    }
    Ok(())
}

/// The data is a state in JSON, or an object with one.
fn is_final(data: &str) -> bool {
    let Ok(value) = serde_json::from_str::<Value>(data) else {
        return false;
    };
    let state = value.get("state").unwrap_or(&value).clone();
    serde_json::from_value(state).is_ok_and(BuildState::is_final)
}

/// What came after the last event: the end of the log of a build that has ended.
fn write_rest(hub: &Hub, id: BuildId, offset: u64, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut rest = hub.log(id, offset)?;
    std::io::copy(&mut rest, out).map_err(WriteError)?;
    out.flush().map_err(WriteError)?;
    Ok(())
}

#[derive(Debug, Default, PartialEq, Eq)]
struct ServerEvent {
    name: String,
    id: String,
    data: String,
}

/// Reads up to the next blank line: <https://html.spec.whatwg.org/multipage/server-sent-events.html>.
fn read_event(lines: &mut impl BufRead) -> std::io::Result<Option<ServerEvent>> {
    let mut event = ServerEvent::default();
    let mut line = String::new();
    loop {
        line.clear();
        if lines.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let text = line.trim_end_matches(['\n', '\r']);
        if text.is_empty() {
            if event == ServerEvent::default() {
                continue;
            }
            return Ok(Some(event));
        }
        let (field, value) = text.split_once(':').unwrap_or((text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut event.name),
            "id" => value.clone_into(&mut event.id),
            "data" => {
                if !event.data.is_empty() {
                    event.data.push('\n');
                }
                event.data.push_str(value);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_with_comments_and_keep_alives_between_them() {
        let mut stream: &[u8] =
            b": hello\n\nevent: log\nid: 6\ndata: \"hi\\n\"\n\n\nevent:state\r\ndata:x\r\ndata: y\r\n\r\nid: 9\n";

        let first = read_event(&mut stream).unwrap().unwrap();
        let second = read_event(&mut stream).unwrap().unwrap();

        assert_eq!((first.name.as_str(), first.id.as_str()), ("log", "6"));
        assert_eq!(first.data, r#""hi\n""#);
        assert_eq!(
            (second.name.as_str(), second.data.as_str()),
            ("state", "x\ny")
        );
        assert_eq!(read_event(&mut stream).unwrap(), None);
    }
}
