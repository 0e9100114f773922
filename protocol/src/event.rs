//! What is told of a build while it runs: a JSON object for each event.
//!
//! ```json
//! {"event":"phase","name":"post"}
//! {"event":"log","text":"hello\n"}
//! {"event":"progress","step":"layer 1 of 2","done":1048576,"total":2097152}
//! {"event":"state","state":"succeeded","image":{"path":"tool.sif","size":3145728}}
//! ```
//!
//! The last event is a state that is final. The words are those of the hub: its events of a build
//! are `log` and `state`, its phases and failures have these names.

use serde::{Deserialize, Serialize};

use crate::{BuildState, Diagnostic, Failure};

/// Something that happens during a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum BuildEvent {
    /// A phase has begun, and the one before it has ended.
    Phase {
        /// As in [`PhaseStarted`](crate::worker::PhaseStarted).
        name: String,
    },
    /// The log grew by this text, with the ends of its lines.
    Log {
        /// Bytes that are no text are replaced.
        text: String,
    },
    /// Something is to be said of the definition.
    Diagnostic(Diagnostic),
    /// A long step moved on.
    Progress {
        /// What is being done, the same text for all events of one step.
        step: String,
        /// Bytes done.
        done: u64,
        /// Bytes to do, when known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        total: Option<u64>,
    },
    /// The build has another state.
    State {
        /// Which.
        state: BuildState,
        /// Why there is no image.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Failure>,
        /// The image that was made.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        image: Option<ImageMade>,
    },
}

/// An image that was made on the machine that built it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageMade {
    /// Where it lies.
    pub path: String,
    /// Its bytes; a folder has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FailureKind;

    #[test]
    fn events_are_written_as_they_are_documented_and_read_again() {
        let events = [
            (
                BuildEvent::Phase {
                    name: "post".to_owned(),
                },
                r#"{"event":"phase","name":"post"}"#,
            ),
            (
                BuildEvent::Log {
                    text: "hello\n".to_owned(),
                },
                r#"{"event":"log","text":"hello\n"}"#,
            ),
            (
                BuildEvent::State {
                    state: BuildState::Failed,
                    failure: Some(Failure::new(FailureKind::Base, "it is gone")),
                    image: None,
                },
                r#"{"event":"state","state":"failed","failure":{"kind":"base","message":"it is gone"}}"#,
            ),
        ];
        for (event, json) in events {
            assert_eq!(serde_json::to_string(&event).unwrap(), json);
            assert_eq!(serde_json::from_str::<BuildEvent>(json).unwrap(), event);
        }
    }
}
