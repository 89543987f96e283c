//! Every bound of the program, each with its reason. Passed down as arguments.

use std::time::Duration;

use crate::adapter::kube::KubeLimits;
use crate::adapter::server::Bounds;
use crate::adapter::vault::ClientLimits;
use crate::domain::template::Budget;
use crate::telemetry::burst::Rate;

/// Bytes of one admission review. API servers take requests of 3 MiB at most, and objects of 1.5 MiB are the most
/// that etcd keeps; a review holds one of them at the creation of a pod.
pub(crate) const REVIEW_BYTES_MAX: usize = 3 * 1024 * 1024;

/// For the whole body of a review. API servers send it at once and wait 10 s for an answer unless told
/// otherwise.
pub(crate) const REVIEW_WITHIN: Duration = Duration::from_secs(10);

/// Bytes and time we spend on taking a body that we do not want, so that the client reads our answer.
pub(crate) const DISCARD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// See [`DISCARD_BYTES_MAX`].
pub(crate) const DISCARD_WITHIN: Duration = Duration::from_secs(2);

/// Namespaces that metrics tell apart. Large clusters have some thousands, each costs about 300 bytes
/// here and one or more series in Prometheus. A new one takes the place of the one that was seen least.
pub(crate) const METRIC_NAMESPACES_MAX: usize = 2000;

/// The webhook's server.
///
/// There is no number of reviews beyond which others are refused: a refusal is a pod without secrets where
/// `failurePolicy` is `Ignore`, and one review takes a tenth of a millisecond, so that even when every
/// connection brings one, the last is answered in a tenth of a second. Usual ones are decided one at a time, in
/// the order in which their bodies are whole; those over the free bytes one at a time on another thread, since one of
/// 3 MiB takes some 20 ms. What could run out is memory, so that is what is shared: usual reviews and their answers
/// fit the free bytes and never wait, 512 of them are 16 MiB. Larger ones share 12 MiB, four of the largest, of which
/// one address has half, so that it cannot take all. Who waits longer than 2 s is told to come again in
/// a second: API servers do that by themselves within the webhook's timeout, 10 s by default.
///
/// Our patience is for clients while others wait for their place or their memory. API servers send a
/// handshake, a header and a body at once, in milliseconds. Half a second leaves a kubelet's probe, which
/// waits for one second, a connection in time.
///
/// A connection that has said nothing takes some 2 KB, and of an honest client it does so for as long as a packet
/// takes to get lost and be sent again. One that has said its first word takes about 50 KB, so that all of them stay
/// below 32 MiB; API servers keep a few each. A quarter of the places is for newcomers, however many have brought a
/// review. An idle one lives longer than the 90 s after which API servers close theirs, so that we never
/// close one that is just being used. The header limit is what hyper calls its buffer; headers of API
/// servers have less than 1 KiB, and larger pieces make reading bodies no faster.
pub(crate) const SERVER: Bounds = Bounds {
    free_bytes: 32 * 1024,
    shared_bytes: 4 * REVIEW_BYTES_MAX,
    body_bytes_max: REVIEW_BYTES_MAX,
    peer_bytes_max: 2 * REVIEW_BYTES_MAX,
    share_within: Duration::from_secs(2),
    patience: Duration::from_millis(500),
    strangers_max: 8192,
    guests_max: 512,
    proven_max: 384,
    drain: Duration::from_secs(15),
    header_bytes_max: 16 * 1024,
    header: Duration::from_secs(10),
    idle: Duration::from_secs(120),
};

/// Keep-alive of the thread that decides large reviews.
pub(crate) const ASIDE_FOR: Duration = Duration::from_secs(10);

/// Bytes of an answer that the kernel takes before the client does, which it doubles for itself: by default
/// it would take megabytes, for every client that does not read. Usual answers fit.
pub(crate) const SEND_BUFFER_BYTES: u32 = 32 * 1024;

/// After SIGTERM new connections are still served for so long, since the API server learns some moments
/// later than we do that this replica ends. With the drain limit it stays below the 30 s that Kubernetes
/// waits before it kills.
pub(crate) const LAME_DUCK: Duration = Duration::from_secs(3);

/// What a client that was refused for want of memory is told to wait. API servers take whole seconds.
pub(crate) const RETRY_AFTER: &str = "1";

/// Lines of one kind that strangers can cause: enough at once to see what goes on, and then some 360 in an hour. All
/// kinds together stay below 300 KiB in an hour.
pub(crate) const LOG_LINES: Rate = Rate { burst: 10.0, per_second: 0.1 };
/// The same of lines that say all there is to say when they stand there once.
pub(crate) const LOG_LINE: Rate = Rate { burst: 1.0, per_second: 0.1 };

/// Bytes of the lines about decisions on reviews of one address: about a thousand lines at once and one in two seconds
/// as time goes on, which is more than API servers of most clusters cause. Anybody who reaches the port can
/// send reviews, and one address fills no more than 700 KiB of log in an hour.
pub(crate) const LOG_DECISIONS: Rate = Rate { burst: 262_144.0, per_second: 128.0 };

/// Namespaces that metrics get to know from one address: twice as many at once as they tell apart, then one in two
/// seconds. Nobody can check here which namespaces there are, so that a stranger could invent them without end.
pub(crate) const METRIC_NEW_NAMESPACES: Rate = Rate { burst: 4000.0, per_second: 0.5 };

/// How often certificate files are looked at, and how soon the end of our own certificate is noticed.
pub(crate) const CERTIFICATE_LOOK: Duration = Duration::from_secs(5);

/// At the end of the process, for giving leadership back; what takes longer, the lock's own end does.
pub(crate) const RELEASE: Duration = Duration::from_secs(2);

/// Without a connection or request for so long, the webhook counts as idle.
pub(crate) const IDLE_AFTER: Duration = Duration::from_secs(3);

/// Connections and requests that make giving memory back worth while: more than probes make in a minute.
pub(crate) const EVENTS_WORTH_A_TRIM: u32 = 64;

/// Bytes of one answer of Vault. Vault itself refuses requests over 32 MiB and its storage entries of
/// 1 MiB; lists of very large mounts reach a few MiB.
pub(crate) const VAULT_REPLY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes that the values of one answer may take. Three bytes of text can become fifty in memory, so the bytes of the
/// text bound nothing. With the text, which is there meanwhile, an answer of any shape stays below 24 MiB; the default
/// limit of an agent is 32 MiB, and at rest it takes some 5. The largest text that Vault takes fits, also as some
/// 100,000 names of a list or 50,000 keys.
pub(crate) const VAULT_REPLY_MEMORY_MAX: usize = 14 * 1024 * 1024;

/// Bytes of a file that we read: tokens, certificates, template sources, configurations.
pub(crate) const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of a manifest for `inject`: what fits into memory. Nobody but its owner brings it, and a cluster's
/// pods are hundreds of megabytes.
pub(crate) const MANIFEST_BYTES_MAX: usize = usize::MAX;

/// Of a client of Vault.
pub(crate) const VAULT_CLIENT: ClientLimits = ClientLimits {
    reply_bytes_max: VAULT_REPLY_BYTES_MAX,
    reply_memory_max: VAULT_REPLY_MEMORY_MAX,
    file_bytes_max: FILE_BYTES_MAX,
};

/// Of a client of Kubernetes. Its objects have at most 1.5 MiB (etcd's limit), base64 included; API servers
/// answer within a second unless they are in trouble. A watch that hangs is noticed after `watch` and
/// `watch_grace`; one request in two minutes costs an API server nothing.
pub(crate) const KUBE: KubeLimits = KubeLimits {
    reply_bytes_max: 4 * 1024 * 1024,
    file_bytes_max: FILE_BYTES_MAX,
    timeout: Duration::from_secs(15),
    watch: Duration::from_secs(120),
    watch_grace: Duration::from_secs(15),
};

/// One render. Real templates take thousands of steps and give a few KiB; Vault's largest secret has 1 MiB.
/// A hostile template ends within about two seconds and 64 MiB.
pub(crate) const RENDER: Budget =
    Budget { steps: 10_000_000, depth: 250, output_bytes: 8 * 1024 * 1024 };

/// Passes over one template before it counts as one that never settles: each pass finds at least one
/// secret that the pass before could not see.
pub(crate) const RENDER_PASSES_MAX: usize = 100;

/// Bytes of the state that one agent process leaves for the next: all readings of a pod, which must fit
/// its memory volume.
pub(crate) const STATE_BYTES_MAX: usize = 64 * 1024 * 1024;
