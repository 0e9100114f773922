//! How are clients of registries told what went wrong? By a code, and in words.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::error::Error;

/// The codes of the specification.
/// <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameUnknown,
    SizeInvalid,
    TagInvalid,
    Denied,
    Unsupported,
}

impl Code {
    fn as_str(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Self::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Self::ManifestInvalid => "MANIFEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::TagInvalid => "TAG_INVALID",
            Self::Denied => "DENIED",
            Self::Unsupported => "UNSUPPORTED",
        }
    }
}

/// An error with its code.
#[derive(Debug)]
pub(crate) struct RegistryError {
    code: Code,
    status: StatusCode,
    error: Error,
}

impl RegistryError {
    /// An error that has the status it always has.
    pub(crate) fn new(code: Code, error: Error) -> Self {
        let status = error.status();
        Self {
            code,
            status,
            error,
        }
    }

    /// The error without its code.
    pub(crate) fn into_error(self) -> Error {
        self.error
    }

    /// Whether a part of an upload begins somewhere else than the one before ended.
    pub(crate) fn is_wrong_offset(&self) -> bool {
        matches!(self.error, Error::WrongOffset { .. })
    }

    /// A request that is wrong.
    pub(crate) fn bad(code: Code, message: impl Into<String>) -> Self {
        Self::new(code, Error::BadRequest(message.into()))
    }

    /// Something that is not there.
    pub(crate) fn missing(code: Code, message: impl Into<String>) -> Self {
        Self::new(code, Error::NotFound(message.into()))
    }

    /// Something that is not done here.
    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::METHOD_NOT_ALLOWED,
            ..Self::bad(Code::Unsupported, message)
        }
    }
}

/// Errors whose code follows from what they are.
impl From<Error> for RegistryError {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::NotFound(_) => Code::NameUnknown,
            Error::TooLarge(_) => Code::SizeInvalid,
            Error::Forbidden(_) | Error::NoSpace(_) => Code::Denied,
            _ => Code::BlobUploadInvalid,
        };
        Self::new(code, error)
    }
}

impl From<sqlx::Error> for RegistryError {
    fn from(error: sqlx::Error) -> Self {
        Error::from(error).into()
    }
}

impl IntoResponse for RegistryError {
    fn into_response(self) -> Response {
        if self.status == StatusCode::INTERNAL_SERVER_ERROR {
            return self.error.into_response();
        }
        let error = json!({ "code": self.code.as_str(), "message": self.error.to_string() });
        (self.status, Json(json!({ "errors": [error] }))).into_response()
    }
}
