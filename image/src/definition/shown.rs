//! The text of a definition in the form in which it may be shown.

use super::options::Options;
use super::redact;
use super::secrets::Secrets;
use super::source;

/// The text of a definition without the passwords and tokens of its headers, wherever in it they
/// stand; its lines are those of the definition.
pub struct ShownText(String);

impl ShownText {
    /// What may be shown of a definition that is read with these options.
    pub fn of(definition: &[u8], options: &Options) -> Self {
        super::parse(definition, options).shown(definition)
    }

    pub(super) fn new(definition: &[u8], secrets: &Secrets) -> Self {
        let text = source::decode(definition).text;
        Self(redact::redact_values(&text, secrets))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
