//! All SQL of the hub, one file per table.
