//! Which exit code an error has; `cooperage --help` documents them.

use std::process::ExitCode;

use crate::hub::HubError;

/// The thing asked for failed.
pub(crate) const FAILED: u8 = 1;

/// The command line is wrong, or names a file that cannot be read.
pub(crate) const WRONG_CALL: u8 = 2;

/// The hub cannot be reached, or does not accept the token.
const NO_HUB: u8 = 3;

/// The exit code of a program that ends with `error`.
pub(crate) fn code_of(error: &anyhow::Error) -> ExitCode {
    let has_no_hub = error.chain().any(|cause| {
        cause
            .downcast_ref::<HubError>()
            .is_some_and(|error| !matches!(error, HubError::Refused(_)))
    });
    ExitCode::from(if has_no_hub { NO_HUB } else { FAILED })
}

/// 0 for success, 1 for a failure that was told already.
pub(crate) fn code_for(success: bool) -> ExitCode {
    if success {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    }
}
