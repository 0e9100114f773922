//! A password on its way: it can be sent, and not be shown by mistake.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A password or token of somebody else's service.
///
/// # Security
/// It has no `Display`, and `Debug` says nothing of it; JSON does have it, for who may know it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, format = Password, min_length = 1, max_length = 4096)]
pub struct Password(String);

impl Password {
    /// The password itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Password {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown_in_messages() {
        assert!(!format!("{:?}", Password::from("s3cret".to_owned())).contains("s3cret"));
    }
}
