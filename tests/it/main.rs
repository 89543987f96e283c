//! Tests that need nothing but this package: one module per subject.
#![allow(
    clippy::allow_attributes,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test that cannot set up should stop; tests may touch the outside"
)]

mod agent;
mod bounds;
mod certificates;
mod command_line;
mod documents;
mod fake_kube;
mod fake_vault;
mod hostile;
mod http;
mod inject;
mod inject_offline;
mod layers;
mod load;
mod metrics;
mod program;
mod properties;
mod quirks;
mod regressions;
mod render_live;
mod render_tool;
mod rollout;
mod safety;
#[path = "../bench/siege.rs"]
mod siege;
mod support;
mod template;
mod template_cost;
mod template_crypto;
mod template_limits;
mod template_oracle;
mod vault_helm;
mod webhook;
