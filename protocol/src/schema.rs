//! How texts with a form of their own are described to other programs.

use std::borrow::Cow;

use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::{AccountName, CollectionName, Digest, Tag};

macro_rules! text {
    ($name:ident, $pattern:literal, $description:literal, $example:literal) => {
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let text = ObjectBuilder::new()
                    .schema_type(Type::String)
                    .pattern(Some($pattern))
                    .description(Some($description))
                    .examples([$example]);
                text.into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }
    };
}

text!(
    CollectionName,
    "^[A-Za-z0-9-]{1,39}/[A-Za-z0-9_.-]{1,64}$",
    "The name of a collection; capitals do not tell two of them apart.",
    "lab/tool"
);
text!(
    AccountName,
    "^[A-Za-z0-9_.-]{1,39}$",
    "The name of an account or a team; capitals do not tell two of them apart.",
    "ada"
);
text!(
    Tag,
    "^[A-Za-z0-9_.-]{1,64}$",
    "The tag of an image.",
    "latest"
);
text!(
    Digest,
    "^sha256:[0-9a-f]{64}$",
    "The SHA-256 of a file.",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_a_text_is_one() {
        fn example<T: PartialSchema>() -> String {
            let RefOr::T(Schema::Object(text)) = T::schema() else {
                return String::new();
            };
            text.examples[0].as_str().unwrap_or_default().to_owned()
        }
        assert!(
            example::<CollectionName>()
                .parse::<CollectionName>()
                .is_ok()
        );
        assert!(example::<AccountName>().parse::<AccountName>().is_ok());
        assert!(example::<Tag>().parse::<Tag>().is_ok());
        assert!(example::<Digest>().parse::<Digest>().is_ok());
    }
}
