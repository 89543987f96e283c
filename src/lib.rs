//! One executable that brings secrets from HashiCorp Vault or OpenBao into Kubernetes pods.
//!
//! Read in this order: `cli` (argv and environment become a mode with its configuration), `run` (the
//! modes: wiring, threads, log lines), `domain` (every decision, as functions of values), `adapter` (one
//! file per outside thing), `telemetry` (what operators see), `base` (the shared vocabulary). Arrows point
//! that way only; `tests/it/layers.rs` checks it.

pub mod base;
pub mod cli;
pub mod domain;

pub use adapter::allocator::Wiping;

mod adapter;
mod run;
mod telemetry;
