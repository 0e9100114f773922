//! The identifiers of everything that has a row of its own: UUIDs, each in a type of its own.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Makes an id that sorts by the time it was made (UUID version 7).
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

id!(
    /// One build of one recipe at one commit, over all its attempts.
    BuildId
);
id!(
    /// One upload of something that is pushed.
    PushId
);
id!(
    /// One check of whether an image can be had.
    CheckId
);
id!(
    /// One connected git repository.
    CollectionId
);
id!(
    /// One webhook delivery as the hub stored it (not the forge's own delivery id).
    DeliveryId
);
id!(
    /// One way to sign in to an account with a provider.
    IdentityId
);
id!(
    /// One published image.
    ImageId
);
id!(
    /// One login of an account, in one browser.
    SessionId
);
id!(
    /// One team of accounts.
    TeamId
);
id!(
    /// One API token, which is no secret: the token itself is kept nowhere.
    TokenId
);
id!(
    /// One account of the hub.
    UserId
);
id!(
    /// One worker that was given a token.
    WorkerId
);
