//! Tests against real servers: OpenBao and PostgreSQL, started on loopback.
