//! One object watched: every state it takes, from a stream that may break and be taken up again.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::{Ask, KubeClient, Status, is_name, refusal_of, target};
use crate::adapter::http_client::HttpLines;
use crate::base::time::Mono;
use crate::domain::serving::objects::{KubeError, Object, Stored, Target, misread};

/// What a watch has seen.
#[derive(Debug)]
pub(crate) enum Watched<T> {
    /// There is no such object, or not any more.
    Absent,
    /// The object as it is now.
    Present(Box<Stored<T>>),
    /// Nothing for as long as one watch lasts.
    Unchanged,
}

/// Watches one object.
///
/// [`Watch::next`] blocks its thread for at most the limits' `watch` and `watch_grace`; nothing else can
/// wake it, so it belongs into a thread that the end of the process may cut off.
pub(crate) struct Watch<T> {
    client: Arc<KubeClient>,
    namespace: String,
    name: String,
    /// The state last seen; `None` lists.
    version: Option<String>,
    /// The open stream and when it was opened.
    stream: Option<(HttpLines, Mono)>,
    object: std::marker::PhantomData<T>,
}

/// A watch that ends sooner is an error: whoever calls again at once would do nothing else.
const SHORTEST: Duration = Duration::from_secs(1);

impl<T: Object> Watch<T> {
    /// Nothing is asked yet.
    pub(crate) fn new(client: Arc<KubeClient>, namespace: &str, name: &str) -> Self {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        let object = std::marker::PhantomData;
        Self { client, namespace, name, version: None, stream: None, object }
    }

    /// The present state at the first call, then waits for a change. After an error, which a caller waits
    /// out, it goes on where it was.
    pub(crate) fn next(&mut self) -> Result<Watched<T>, KubeError> {
        let Some(version) = self.version.clone() else { return self.list() };
        let (mut lines, since) = match self.stream.take() {
            Some(open) => open,
            None => match self.open(&version) {
                Err(KubeError::Expired { .. }) => return self.list(),
                opened => opened?,
            },
        };
        let target = self.target("watch");
        while let Some(line) = lines.next().map_err(|e| self.client.no_answer(&target, e))? {
            match self.event(&target, &line) {
                Ok(Some(watched)) => {
                    self.stream = Some((lines, since));
                    return Ok(watched);
                }
                Ok(None) => {}
                Err(KubeError::Expired { .. }) => return self.list(),
                Err(error) => return Err(error),
            }
        }
        if self.client.clock.now().since(since) < SHORTEST {
            let reason = "the watch ended as soon as it began".to_owned();
            return Err(KubeError::Unreachable { address: self.client.address.clone(), reason });
        }
        Ok(Watched::Unchanged)
    }

    fn target(&self, verb: &'static str) -> Target {
        target::<T>(verb, &self.namespace, &self.name)
    }

    /// The path of a list of this object alone. A name that is none is refused with the request.
    fn path(&self, more: &str) -> String {
        let name = if is_name(&self.name) { &self.name } else { "" };
        format!("{}?fieldSelector=metadata.name%3D{name}{more}", T::KIND.path(&self.namespace))
    }

    fn list(&mut self) -> Result<Watched<T>, KubeError> {
        let (target, path) = (self.target("list"), self.path(""));
        let ask = Ask { target, method: "GET", path: &path, body: None, is_watch: false };
        let reply = self.client.read(&ask.target, self.client.open(&ask)?)?;
        let malformed = |reason| KubeError::Malformed { target: ask.target.clone(), reason };
        let list: List<'_> =
            serde_json::from_slice(&reply.body).map_err(|e| malformed(misread(&e)))?;
        let items = list.items.unwrap_or_default().into_iter();
        let items = items.map(|item| Stored::<T>::decode(copied(item)));
        let items: Vec<_> = items.collect::<Result<_, _>>().map_err(malformed)?;
        self.version = Some(list.metadata.resource_version);
        let found = items.into_iter().find(|item| item.object.metadata().name == self.name);
        Ok(found.map_or(Watched::Absent, |item| Watched::Present(Box::new(item))))
    }

    fn open(&self, version: &str) -> Result<(HttpLines, Mono), KubeError> {
        let seconds = self.client.limits.watch.as_secs();
        let path = self.path(&format!(
            "&watch=1&allowWatchBookmarks=true&timeoutSeconds={seconds}&resourceVersion={version}"
        ));
        let target = self.target("watch");
        let ask = Ask { target, method: "GET", path: &path, body: None, is_watch: true };
        let since = self.client.clock.now();
        Ok((self.client.open(&ask)?.lines(), since))
    }

    /// What one event means, if it is about the object.
    fn event(&mut self, target: &Target, line: &[u8]) -> Result<Option<Watched<T>>, KubeError> {
        let malformed = |reason| KubeError::Malformed { target: target.clone(), reason };
        let misread = |e: serde_json::Error| malformed(misread(&e));
        let event: Event<'_> = serde_json::from_slice(line).map_err(misread)?;
        if event.kind == "ERROR" {
            let status: Status = serde_json::from_str(event.object.get()).map_err(misread)?;
            return Err(refusal_of(target, status.code, None, &status, &self.client.sent(None)));
        }
        let seen: Seen = serde_json::from_str(event.object.get()).map_err(misread)?;
        let is_ours = seen.metadata.name == self.name;
        let watched = match event.kind {
            "ADDED" | "MODIFIED" if is_ours => {
                let stored = Stored::decode(copied(event.object)).map_err(malformed)?;
                Some(Watched::Present(Box::new(stored)))
            }
            "DELETED" if is_ours => Some(Watched::Absent),
            // Bookmarks have nothing but a version.
            _ => None,
        };
        self.version = Some(seen.metadata.resource_version);
        Ok(watched)
    }
}

fn copied(raw: &RawValue) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(raw.get().as_bytes().to_vec())
}

#[derive(Deserialize)]
struct List<'a> {
    metadata: Version,
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct Seen {
    metadata: Version,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    #[serde(default)]
    name: String,
    resource_version: String,
}
