//! Tests of the hub with a real Postgres and real git.
