//! `Bootstrap: debootstrap`: a Debian or Ubuntu made from its packages is the base.

use super::{Base, Bootstrapper};
use crate::definition::Debootstrap;
use crate::error::Error;

pub(super) fn bootstrap(_: &mut Bootstrapper<'_>, _: &Debootstrap) -> Result<Base, Error> {
    Err(Error::Internal("debootstrap".to_owned()))
}
