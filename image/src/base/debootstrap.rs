//! `Bootstrap: debootstrap`.
