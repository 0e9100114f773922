//! `Bootstrap: docker-daemon`: an image of the machine's Docker engine is the base.
//!
//! The engine is asked as `docker save` does it.
//!
//! <https://apptainer.org/docs/user/main/appendix.html#docker-daemon-bootstrap-agent>

use super::stored;
use super::{Base, Bootstrapper};
use crate::definition::StoredImage;
use crate::error::Error;
use crate::oci::{Archive, Which, open_saved, save_from_engine};

/// Has the engine save the image, and puts its layers over each other.
pub(super) fn bootstrap(
    bootstrapper: &mut Bootstrapper<'_>,
    image: &StoredImage,
) -> Result<Base, Error> {
    let Some(engine) = bootstrapper.request.docker_engine.as_deref() else {
        return Err(Error::Base {
            message: "`docker-daemon` is not available here: the images of this machine's Docker \
                      engine are not the definition's"
                .to_owned(),
            help: Some(
                "push the image to a registry and use `Bootstrap: docker`, or build with \
                 `cooperage build`"
                    .to_owned(),
            ),
        });
    };
    let name = format!("docker-daemon:{}", image.from);
    bootstrapper.say(&format!("saving {} from {engine}", image.from));
    let surroundings = stored::surroundings(bootstrapper);
    let file = save_from_engine(engine, &image.from, &surroundings)?;
    let archive = Archive::open(file, &name, &surroundings)?;
    let found = open_saved(&archive, &name, &Which::Only)?;
    stored::unpack(bootstrapper, found, &name, image.include_cmd)
}
