//! Every bound of the program, each with its reason. Passed down as arguments.

use crate::adapter::vault::ClientLimits;
use crate::domain::template::Budget;

/// Bytes of one admission review. API servers accept objects of 1.5 MiB (etcd's limit) and a review
/// holds up to two of them with their escapes.
pub(crate) const REVIEW_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes of one answer of Vault. Vault itself refuses requests over 32 MiB and its storage entries of
/// 1 MiB; lists of very large mounts reach a few MiB.
pub(crate) const VAULT_REPLY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes of a file that we read: tokens, certificates, template sources, configurations.
pub(crate) const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Of a client of Vault.
pub(crate) const VAULT_CLIENT: ClientLimits =
    ClientLimits { reply_bytes_max: VAULT_REPLY_BYTES_MAX, file_bytes_max: FILE_BYTES_MAX };

/// One render. Real templates take thousands of steps and give a few KiB.
pub(crate) const RENDER: Budget =
    Budget { steps: 10_000_000, depth: 250, output_bytes: 16 * 1024 * 1024 };

/// Passes over one template before it counts as one that never settles: each pass finds at least one
/// secret that the pass before could not see.
pub(crate) const RENDER_PASSES_MAX: usize = 100;

/// Bytes of the state that one agent process leaves for the next: all readings of a pod, which must fit
/// its memory volume.
pub(crate) const STATE_BYTES_MAX: usize = 64 * 1024 * 1024;
