//! Requests and limits of the agents: what was given, and defaults that do not stand against it.

use super::annotations::{Key, Notes, Source};
use super::json_text::JsonText;
use super::problems::{Problems, Shown};
use super::quantity::{self, Amount};

/// One resource: its name, the key of its limit, the key of its request.
const RESOURCES: [(&str, Key, Key); 3] = [
    ("cpu", Key::LimitsCpu, Key::RequestsCpu),
    ("ephemeral-storage", Key::LimitsEphemeral, Key::RequestsEphemeral),
    ("memory", Key::LimitsMem, Key::RequestsMem),
];

/// Who said how much, from the weakest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Voice {
    /// Nobody: the agent's flavour has a default.
    Flavor,
    /// The webhook's variable.
    Webhook,
    /// The pod.
    Pod,
}

fn voice(notes: &Notes<'_>, key: Key) -> Voice {
    if notes.given(key).is_some() {
        return Voice::Pod;
    }
    if notes.is_set_by_webhook(key) { Voice::Webhook } else { Voice::Flavor }
}

/// `resources`, the same in both containers, as JSON.
///
/// Kubernetes refuses a request above its limit. Where one of the two is a default it gives way to the other;
/// the webhook's variables are defaults too, as any pod may override them. Who gave both hears of it.
pub(crate) fn resources(
    notes: &Notes<'_>,
    problems: &mut Problems,
    warnings: &mut Vec<String>,
) -> String {
    let settled = RESOURCES.map(|(name, limit, request)| {
        let (most, least) = settle(notes, limit, request, problems, warnings);
        (name, most, least)
    });
    let mut out = JsonText::default();
    out.object(|out| {
        let limits = settled.iter().map(|(name, most, _)| (*name, *most));
        entries("limits", limits, out);
        entries("requests", settled.iter().map(|(name, _, least)| (*name, *least)), out);
    });
    out.into_text()
}

fn entries(
    name: &str,
    amounts: impl Iterator<Item = (&'static str, Option<Amount>)> + Clone,
    out: &mut JsonText,
) {
    if amounts.clone().all(|(_, amount)| amount.is_none()) {
        return;
    }
    out.key(name).object(|out| {
        for (name, amount) in amounts {
            if let Some(amount) = amount {
                out.member(name, &amount.text());
            }
        }
    });
}

/// Limit and request of one resource.
fn settle(
    notes: &Notes<'_>,
    limit: Key,
    request: Key,
    problems: &mut Problems,
    warnings: &mut Vec<String>,
) -> (Option<Amount>, Option<Amount>) {
    // What is no quantity is a problem elsewhere.
    let of = |key| quantity::parse(&notes.text(key)).ok();
    let (Some(most), Some(least)) = (of(limit), of(request)) else {
        return (of(limit), of(request));
    };
    if least.nanos() <= most.nanos() {
        return (Some(most), Some(least));
    }
    match voice(notes, request).cmp(&voice(notes, limit)) {
        std::cmp::Ordering::Greater => (Some(least), Some(least)),
        std::cmp::Ordering::Less => (Some(most), Some(most)),
        std::cmp::Ordering::Equal => {
            let clause = format!(
                "{} is more than the limit {} of {}: lower the one or raise the other",
                Shown(&notes.text(request)),
                Shown(&notes.text(limit)),
                notes.place(limit)
            );
            // vault-k8s has pods with such a CPU made, for the API server to refuse; they stay as they were.
            if limit == Key::LimitsCpu && voice(notes, limit) == Voice::Pod {
                warnings.push(format!("{request}: {clause}"));
            } else {
                notes.blame(request, clause, problems);
            }
            (Some(most), Some(least))
        }
    }
}

impl Notes<'_> {
    /// Where a setting is written: in the annotation, or in the webhook's variable.
    fn place(&self, key: Key) -> String {
        match (self.given(key), key.row().source) {
            (None, Source::Process(name, _)) => format!("AGENT_INJECT_{name}"),
            _ => key.to_string(),
        }
    }
}
