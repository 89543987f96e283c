//! One file per outside thing. Adapters return errors; they do not log and do not decide.

pub(crate) mod manifest;
pub(crate) mod yaml;
