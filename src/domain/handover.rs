//! What one agent process leaves for the next: its token, its mounts and what it read.
//!
//! The init container leaves it for the sidecar, and a sidecar for the container that replaces it, so that
//! a pod logs in once and its app sees one and the same dynamic credential. The document is ours alone;
//! readings stand in it as Vault sent them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::base::json::{Json, JsonError};
use crate::base::secret::Secret;
use crate::base::time::Wall;
use crate::domain::template::{Found, Seed, Want};
use crate::domain::vault::{Auth, Mount, Reading, WrapInfo};
use crate::domain::x509::Bundle;

/// By so much the clock is set back in everyday life; a lease is renewed long before it ends.
const CLOCK_SLACK: Duration = Duration::from_mins(1);

/// The form of the document.
const VERSION: u64 = 1;

/// A token that still lives, with everything that was had with it.
pub struct Handover {
    /// Of the configuration that decides whose token this is.
    pub config: String,
    /// As the login or the last renewal gave it.
    pub token: Auth,
    /// When that was.
    pub granted: Wall,
    /// The mounts known so far.
    pub mounts: Vec<Mount>,
    /// What was had, and when it was fetched or its lease was renewed.
    pub had: Vec<(Want, Found, Wall)>,
    /// What templates draw from, so that the next process draws the same.
    pub seed: Option<Seed>,
}

/// Why a document cannot be taken over. Shows no content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandoverError {
    /// It is of an agent that logs in elsewhere or as someone else.
    Config,
    /// Its token has expired or is about to.
    Expired,
    /// It was written later than now, so nobody knows how old its leases are.
    Future,
    /// Something in it is not as we write it.
    Malformed,
    /// It is no JSON.
    NotJson(JsonError),
    /// It is of another version of this program.
    Version,
}

impl fmt::Display for HandoverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Config => "it is of another configuration",
            Self::Expired => "its token has expired or is about to",
            Self::Future => "it is of a later time than now: the clock was set back",
            Self::Malformed => "it is not complete",
            Self::NotJson(_) => "it cannot be read",
            Self::Version => "it is of another version",
        })
    }
}

impl std::error::Error for HandoverError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Self::NotJson(cause) = self { Some(cause) } else { None }
    }
}

impl Handover {
    /// The document.
    pub fn encode(&self) -> Secret {
        let mounts = self
            .mounts
            .iter()
            .map(|mount| object([("path", text(&mount.path)), ("kv2", Json::Bool(mount.is_kv2))]));
        let had = self.had.iter().filter_map(|(want, found, at)| encode_had(want, found, *at));
        let seed = self.seed.as_ref().map(|seed| hex(seed.expose()));
        let document = object([
            ("seed", seed.map_or(Json::Null, Json::String)),
            ("version", number(&VERSION)),
            ("config", text(&self.config)),
            ("token", encode_auth(&self.token)),
            ("granted", number(&self.granted.0)),
            ("mounts", Json::Array(mounts.collect())),
            ("had", Json::Array(had.collect())),
        ]);
        Secret::new(document.to_text())
    }

    /// Reads a document that was left for a configuration of this `config`; `now` says what of it still
    /// lives. Readings whose lease has ended are left out.
    pub fn decode(document: &[u8], config: &str, now: Wall) -> Result<Self, HandoverError> {
        let json = Json::parse(document).map_err(HandoverError::NotJson)?;
        if json.get("version").and_then(Json::as_u64) != Some(VERSION) {
            return Err(HandoverError::Version);
        }
        if json.get("config").and_then(Json::as_str) != Some(config) {
            return Err(HandoverError::Config);
        }
        let envelope = object([("auth", json.get("token").cloned().unwrap_or(Json::Null))]);
        let token = Reading::decode(&envelope).ok().and_then(|reading| reading.auth);
        let token = token.filter(|token| !token.client_token.is_empty());
        let token = token.ok_or(HandoverError::Malformed)?;
        let granted = json.get("granted").and_then(Json::as_i64).map(Wall);
        let granted = granted.ok_or(HandoverError::Malformed)?;
        if age(now, granted) > CLOCK_SLACK {
            return Err(HandoverError::Future);
        }
        let ttl = Duration::from_secs(token.lease_duration);
        if !ttl.is_zero() && age(granted, now) >= ttl - ttl / 10 {
            return Err(HandoverError::Expired);
        }
        let mounts = items(&json, "mounts").iter().map(|mount| {
            let path = mount.get("path").and_then(Json::as_str)?.to_owned();
            Some(Mount { path, is_kv2: mount.get("kv2").and_then(Json::as_bool)? })
        });
        let mounts = mounts.collect::<Option<_>>().ok_or(HandoverError::Malformed)?;
        let had = items(&json, "had").iter().map(decode_had).collect::<Option<Vec<_>>>();
        let had = had.ok_or(HandoverError::Malformed)?;
        let lives = |(_, found, at): &(Want, Found, Wall)| match found {
            Found::Reading(reading) => {
                let lease = Duration::from_secs(match &reading.auth {
                    Some(auth) => auth.lease_duration,
                    None if reading.lease_id.is_empty() => 0,
                    None => reading.lease_duration,
                });
                lease.is_zero() || age(*at, now) < lease && age(now, *at) <= CLOCK_SLACK
            }
            Found::Certificate(bundle) => bundle.is_good(now),
            Found::Absent | Found::File(_) | Found::List(_) => true,
        };
        let had = had.into_iter().filter(lives).collect();
        let seed = json.get("seed").and_then(Json::as_str).and_then(seed_of_hex);
        Ok(Self { config: config.to_owned(), token, granted, mounts, had, seed })
    }
}

/// How long ago `then` was; a clock that was set back makes it now.
pub fn age(then: Wall, now: Wall) -> Duration {
    Duration::from_millis(u64::try_from(now.0.saturating_sub(then.0)).unwrap_or_default())
}

/// Files are not handed over, and what is absent is asked for again.
fn encode_had(want: &Want, found: &Found, at: Wall) -> Option<Json> {
    let mut members = vec![("path", text(want.path())), ("at", number(&at.0))];
    match (want, found) {
        (Want::Certificate { fields, .. }, Found::Certificate(bundle)) => {
            let chain = bundle.ca_chain.iter().map(String::as_str);
            let pem: String = [bundle.certificate.as_str(), bundle.key.expose()]
                .into_iter()
                .chain(chain)
                .collect();
            members.push(("kind", text("certificate")));
            members.push(("fields", pairs(fields)));
            members.push(("pem", Json::String(pem)));
        }
        (Want::List { .. }, Found::List(names)) => {
            members.push(("kind", text("list")));
            members.push(("names", strings(names)));
        }
        (Want::Read { .. }, Found::Reading(reading)) => {
            members.push(("kind", text("read")));
            members.push(("reading", encode_reading(reading)));
        }
        (Want::Write { fields, .. }, Found::Reading(reading)) => {
            members.push(("kind", text("write")));
            members.push(("fields", pairs(fields)));
            members.push(("reading", encode_reading(reading)));
        }
        _ => return None,
    }
    Some(object(members))
}

fn decode_had(had: &Json) -> Option<(Want, Found, Wall)> {
    let path = had.get("path")?.as_str()?.to_owned();
    let at = Wall(had.get("at")?.as_i64()?);
    let reading = || Some(Found::Reading(Arc::new(Reading::decode(had.get("reading")?).ok()?)));
    let fields = || {
        let fields = had.get("fields")?.as_object()?.iter();
        let owned = fields.map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
        owned.collect::<Option<BTreeMap<_, _>>>()
    };
    match had.get("kind")?.as_str()? {
        "certificate" => {
            let bundle = Bundle::of_text(had.get("pem")?.as_str()?.as_bytes())?;
            let want = Want::Certificate { path, fields: fields()? };
            Some((want, Found::Certificate(Arc::new(bundle)), at))
        }
        "list" => {
            let names = had.get("names")?.as_array()?.iter();
            let names: Option<Vec<_>> = names.map(|n| Some(n.as_str()?.to_owned())).collect();
            Some((Want::List { path }, Found::List(names?), at))
        }
        "read" => Some((Want::Read { path }, reading()?, at)),
        "write" => Some((Want::Write { path, fields: fields()? }, reading()?, at)),
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn seed_of_hex(text: &str) -> Option<Seed> {
    let digits = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..text.len()).step_by(2).map(digits).collect();
    Some(Seed::new(bytes?.try_into().ok()?))
}

/// The envelope as Vault sends it.
fn encode_reading(reading: &Reading) -> Json {
    object([
        ("request_id", text(&reading.request_id)),
        ("lease_id", text(&reading.lease_id)),
        ("lease_duration", number(&reading.lease_duration)),
        ("renewable", Json::Bool(reading.renewable)),
        ("data", reading.data.clone()),
        ("warnings", strings(&reading.warnings)),
        ("auth", reading.auth.as_ref().map_or(Json::Null, encode_auth)),
        ("wrap_info", reading.wrap_info.as_ref().map_or(Json::Null, encode_wrap_info)),
    ])
}

fn encode_auth(auth: &Auth) -> Json {
    object([
        ("client_token", text(auth.client_token.expose())),
        ("accessor", text(&auth.accessor)),
        ("policies", strings(&auth.policies)),
        ("metadata", pairs(&auth.metadata)),
        ("lease_duration", number(&auth.lease_duration)),
        ("renewable", Json::Bool(auth.renewable)),
    ])
}

fn encode_wrap_info(info: &WrapInfo) -> Json {
    object([
        ("token", text(info.token.expose())),
        ("ttl", number(&info.ttl)),
        ("creation_time", text(&info.creation_time)),
        ("creation_path", text(&info.creation_path)),
        ("wrapped_accessor", text(&info.wrapped_accessor)),
    ])
}

fn object<K: Into<String>>(members: impl IntoIterator<Item = (K, Json)>) -> Json {
    Json::Object(members.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

fn pairs(map: &BTreeMap<String, String>) -> Json {
    object(map.iter().map(|(key, value)| (key, text(value))))
}

fn strings(items: &[String]) -> Json {
    Json::Array(items.iter().map(|item| text(item)).collect())
}

fn text(text: &str) -> Json {
    Json::String(text.to_owned())
}

fn number(number: &impl ToString) -> Json {
    Json::Number(number.to_string().into())
}

fn items<'j>(json: &'j Json, key: &str) -> &'j [Json] {
    json.get(key).and_then(Json::as_array).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Handover {
        let reading = |lease_id: &str, seconds: u64| {
            let data = Json::parse(br#"{"n":1.10,"password":"pw"}"#).unwrap();
            let reading = Reading {
                request_id: "r".into(),
                lease_id: lease_id.into(),
                lease_duration: seconds,
                renewable: true,
                data,
                warnings: vec!["w".into()],
                auth: None,
                wrap_info: None,
            };
            Found::Reading(Arc::new(reading))
        };
        let path = || "kv/a?version=2".to_owned();
        let fields = BTreeMap::from([("common_name".to_owned(), "a.b".to_owned())]);
        Handover {
            config: "abc".into(),
            token: Auth {
                client_token: Secret::new("hvs.x"),
                accessor: "acc".into(),
                policies: vec!["default".into()],
                metadata: BTreeMap::from([("role".to_owned(), "app".to_owned())]),
                lease_duration: 100,
                renewable: true,
            },
            granted: Wall(1_000_000),
            mounts: vec![Mount { path: "kv/".into(), is_kv2: true }],
            had: vec![
                (Want::Read { path: path() }, reading("", 0), Wall(1_000_000)),
                (Want::Write { path: path(), fields }, reading("l/1", 60), Wall(1_000_000)),
                (Want::List { path: path() }, Found::List(vec!["x".into()]), Wall(1_000_000)),
                (certificate(), Found::Certificate(Arc::new(bundle())), Wall(1_000_000)),
            ],
            seed: Some(Seed::new([0xa5; 32])),
        }
    }

    fn certificate() -> Want {
        let fields = BTreeMap::from([("common_name".to_owned(), "a.b".to_owned())]);
        Want::Certificate { path: "pki/issue/app".into(), fields }
    }

    /// Good until nine tenths of its life are over, at 1,081 s.
    fn bundle() -> Bundle {
        let mut params = rcgen::CertificateParams::default();
        params.not_before = time::OffsetDateTime::from_unix_timestamp(1000).unwrap();
        params.not_after = time::OffsetDateTime::from_unix_timestamp(1090).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let text = params.self_signed(&key).unwrap().pem() + &key.serialize_pem();
        Bundle::of_text(text.as_bytes()).unwrap()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let text = sample().encode();
        let back = Handover::decode(text.expose().as_bytes(), "abc", Wall(1_050_000)).unwrap();
        assert_eq!(back.encode().expose(), text.expose());
        assert_eq!(back.had.len(), 4);
    }

    #[test]
    fn what_has_ended_is_left_out() {
        let text = sample().encode();
        let read = |config: &str, now| {
            Handover::decode(text.expose().as_bytes(), config, Wall(now)).map(|h| h.had.len())
        };
        assert_eq!(read("abc", 1_060_000), Ok(3));
        assert_eq!(read("abc", 1_080_999), Ok(3));
        assert_eq!(read("abc", 1_081_000), Ok(2), "the certificate is due");
        assert_eq!(read("abc", 1_089_000), Ok(2));
        assert_eq!(read("abc", 1_090_000), Err(HandoverError::Expired));
        assert_eq!(read("abc", 990_000), Ok(4), "a clock that was set back a little ends nothing");
        assert_eq!(read("abc", 900_000), Err(HandoverError::Future));
        assert_eq!(read("abd", 1_050_000), Err(HandoverError::Config));
    }

    #[test]
    fn nonsense_is_refused_and_not_shown() {
        for text in ["", "{}", "hvs.x", r#"{"version":1,"config":"c","token":{},"granted":1}"#] {
            let error = Handover::decode(text.as_bytes(), "c", Wall(0)).err().unwrap();
            assert!(!error.to_string().contains("hvs"), "{error}");
        }
        let whole = sample().encode();
        for end in 0..whole.expose().len() {
            let cut = &whole.expose().as_bytes()[..end];
            assert!(Handover::decode(cut, "abc", Wall(0)).is_err());
        }
    }
}
