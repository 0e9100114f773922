//! A real Postgres: started, killed, started again, stopped.
