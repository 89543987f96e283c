//! What the tests stand on: a Vault and an API server that misbehave on demand, folders that vanish, the real program.

pub(crate) mod fake_kube;
pub(crate) mod fake_vault;
pub(crate) mod memory;
pub(crate) mod program;
pub(crate) mod temp_dir;

pub(crate) mod https;
