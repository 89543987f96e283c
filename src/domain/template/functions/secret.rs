//! What comes from outside: secrets, files, the environment. Everything is looked up in the snapshot.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Arguments, Function, Param, call, many};
use crate::base::json::Json;
use crate::domain::template::Found;
use crate::domain::template::asked::{Ask, Asking};
use crate::domain::template::error::{Fault, Result};
use crate::domain::template::go::eval::Eval;
use crate::domain::template::value::{Entries, List, Map, MapOf, Record, SecretView, Text, Value};
use crate::domain::x509::Bundle;

use Param::Any;

/// Sorted by name.
pub(super) const TABLE: &[Function] = &[
    many("byKey", &[Any], "groups Consul pairs by folder; empty for nil", grouped),
    many("byMeta", &[Any], "groups Consul services by meta; empty for nil", grouped),
    many("byPort", &[Any], "groups Consul services by port; empty for nil", grouped),
    many("byTag", &[Any], "groups Consul services by tag; empty for nil", grouped),
    many("caLeaf", &[Any], "Consul: fails, the agent has no Consul", consul),
    many("caRoots", &[Any], "Consul: fails, the agent has no Consul", consul),
    many("connect", &[Any], "Consul: fails, the agent has no Consul", consul),
    many("datacenters", &[Any], "Consul: fails, the agent has no Consul", consul),
    call("env", &[Param::Text], "an environment variable, empty when it is not set", env),
    call(
        "envOrDefault",
        &[Param::Text, Param::Text],
        "an environment variable, or the default when it is not set",
        env_or_default,
    ),
    many("exportedServices", &[Any], "Consul: fails, the agent has no Consul", consul),
    call("file", &[Param::Text], "the content of a file", file),
    many("importedServices", &[Any], "Consul: fails, the agent has no Consul", consul),
    many("key", &[Any], "Consul: fails, the agent has no Consul", consul),
    many("keyExists", &[Any], "Consul: fails, the agent has no Consul", consul),
    many("keyOrDefault", &[Any], "Consul: fails, the agent has no Consul", consul),
    many("ls", &[Any], "Consul: fails, the agent has no Consul", consul),
    call(
        "mustEnv",
        &[Param::Text],
        "an environment variable that must be set and not be empty",
        must_env,
    ),
    many("node", &[Any], "Consul: fails, the agent has no Consul", consul),
    many("nodes", &[Any], "Consul: fails, the agent has no Consul", consul),
    many("nomadService", &[Any], "Nomad: fails, the agent has no Nomad", nomad),
    many("nomadServices", &[Any], "Nomad: fails, the agent has no Nomad", nomad),
    many("nomadVar", &[Any], "Nomad: fails, the agent has no Nomad", nomad),
    many("nomadVarExists", &[Any], "Nomad: fails, the agent has no Nomad", nomad),
    many("nomadVarList", &[Any], "Nomad: fails, the agent has no Nomad", nomad),
    many("nomadVarListSafe", &[Any], "Nomad: fails, the agent has no Nomad", nomad),
    many("partitions", &[Any], "Consul: fails, the agent has no Consul", consul),
    many("peerings", &[Any], "Consul: fails, the agent has no Consul", consul),
    many(
        "pkiCert",
        &[Param::Text],
        "a certificate of Vault's PKI engine, one for all files that ask so, as long as it is good",
        pki_cert,
    ),
    many("safeLs", &[Any], "Consul: fails, the agent has no Consul", consul),
    many("safeTree", &[Any], "Consul: fails, the agent has no Consul", consul),
    many(
        "secret",
        &[Param::Text],
        "a secret of Vault; with key=value arguments it is written to be had",
        secret,
    ),
    call("secrets", &[Param::Text], "the names below a path of Vault, sorted", secrets),
    many("service", &[Any], "Consul: fails, the agent has no Consul", consul),
    many("services", &[Any], "Consul: fails, the agent has no Consul", consul),
    many("tree", &[Any], "Consul: fails, the agent has no Consul", consul),
];

fn secret<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    if values.is_empty() {
        return Ok(Value::Nil);
    }
    let path = trimmed_path(values.text_at(0))?;
    let looked_up = match values.from(1) {
        [] => look_up(eval, Ask::Read { path })?,
        fields => look_up(eval, Ask::Write { path, fields: &written_fields(fields)? })?,
    };
    let Some((Found::Reading(reading), slot)) = looked_up else { return Ok(Value::Nil) };
    let view = slot.get_or_insert_with(|| {
        let data = match &reading.data {
            Json::Object(members) => Map::of_json(members),
            _ => Map::nil(MapOf::Any),
        };
        SecretView { reading, data }
    });
    Ok(Value::Secret(view.clone()))
}

/// The type of what `pkiCert` returns.
pub(super) const CERTIFICATE: &str = "dependency.PemEncoded";

/// Of such a certificate, sorted by name.
pub(super) const CERTIFICATE_METHODS: &[Function] =
    &[call("Data", &[], "itself, so that `.Data.Cert` works", |_, v| Ok(v.value_at(0)))];

fn pki_cert<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    if values.is_empty() {
        return Ok(Value::Nil);
    }
    let path = trimmed_path(values.text_at(0))?;
    let fields = &written_fields(values.from(1))?;
    let bundle = match look_up(eval, Ask::Certificate { path, fields })? {
        Some((Found::Certificate(bundle), _)) => Arc::clone(bundle),
        Some((Found::Reading(reading), _)) => {
            let bundle = Bundle::of_data(&reading.data).map(Arc::new);
            bundle.ok_or_else(|| Fault::new("the answer holds no certificate but those of CAs"))?
        }
        _ => return Ok(Value::Nil),
    };
    let text = |text: &str| Value::text(text);
    let chain = bundle.ca_chain.iter().map(|ca| Text::from(ca.as_bytes().to_vec())).collect();
    let fields = vec![
        ("Cert", text(&bundle.certificate)),
        ("Key", text(bundle.key.expose())),
        ("CA", text(&bundle.ca)),
        ("CAChain", List::texts(chain)),
    ];
    Ok(Record::value(CERTIFICATE, fields))
}

/// What an entry of a set or of what is sent takes beside its texts, when a tree has little else.
const WANT_BYTES: usize = 512;

/// Notes that it was asked for. What was found, with the place of what is handed out for it.
fn look_up<'e, 'a>(
    eval: &'e mut Eval<'a>,
    ask: Ask<'_>,
) -> Result<Option<(&'a Found, &'e mut Option<SecretView<'a>>)>> {
    let known = &eval.snapshot.found;
    let (want, found) = match known.get_key_value(&ask as &dyn Asking) {
        Some((want, found)) => (Cow::Borrowed(want), Some(found)),
        None => (Cow::Owned(ask.to_want()), None),
    };
    if !eval.asked.contains(&want) {
        let fields = if let Ask::Write { fields, .. } = ask { Some(fields) } else { None };
        let texts = fields.into_iter().flatten().map(|(key, value)| key.len() + value.len());
        let texts = texts.fold(want.path().len(), usize::saturating_add);
        let entries = 1 + fields.map_or(0, BTreeMap::len);
        eval.meter.steps(entries)?;
        let bytes = texts.saturating_add(entries.saturating_mul(WANT_BYTES));
        // It may come to stand in three sets.
        eval.meter.keep(bytes.saturating_mul(3))?;
    }
    let slot = eval.asked.slot(want);
    let found = found.or_else(|| match ask {
        // Offline, a write has the response that stands for the path.
        Ask::Certificate { path, .. } | Ask::Write { path, .. } if eval.snapshot.complete => {
            known.get(&Ask::Read { path } as &dyn Asking)
        }
        _ => None,
    });
    // Offline nobody else leaves empty parts of a path out.
    let found = found.or_else(|| match ask {
        Ask::Read { path } | Ask::Write { path, .. } if eval.snapshot.complete => {
            let parts = path.split('/').filter(|part| !part.is_empty());
            let path = parts.collect::<Vec<&str>>().join("/");
            known.get(&Ask::Read { path: &path } as &dyn Asking)
        }
        _ => None,
    });
    Ok(found.map(|found| (found, slot)))
}

fn trimmed_path(path: &[u8]) -> Result<&str> {
    let path = str::from_utf8(path).unwrap_or_default().trim().trim_matches('/');
    if path.is_empty() {
        return Err(Fault::new("a path is empty or not UTF-8"));
    }
    Ok(path)
}

/// `key=value` arguments; multi-line arguments rely on the trimming.
fn written_fields(arguments: &[Value<'_>]) -> Result<BTreeMap<String, String>> {
    let mut fields = BTreeMap::new();
    for i in 0..arguments.len() {
        let text = String::from_utf8_lossy(arguments.text_at(i));
        if text.is_empty() {
            continue;
        }
        let Some((key, value)) = text.split_once('=') else {
            let message = format!("argument {} of a write is no key=value pair", i + 2);
            return Err(Fault::new(message));
        };
        fields.insert(key.trim().to_owned(), value.trim().to_owned());
    }
    Ok(fields)
}

fn secrets<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    if values.text_at(0).is_empty() {
        return Ok(List::texts(Vec::new()));
    }
    let ask = Ask::List { path: trimmed_path(values.text_at(0))? };
    let names = match look_up(eval, ask)? {
        Some((Found::List(names), _)) => names.as_slice(),
        _ => &[],
    };
    eval.meter.elements(names.len())?;
    Ok(List::texts(names.iter().map(|name| Text::Borrowed(name.as_bytes())).collect()))
}

fn file<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let path = &*String::from_utf8_lossy(values.text_at(0));
    if path.is_empty() {
        return Ok(Value::EMPTY);
    }
    let sandbox = eval.sandbox;
    match look_up(eval, Ask::File { path, sandbox })? {
        Some((Found::File(content), _)) => Ok(Value::Text(Text::Borrowed(content.expose()))),
        _ => Ok(Value::EMPTY),
    }
}

/// The variable, if it is set.
fn variable<'a>(eval: &Eval<'a>, name: &[u8]) -> Option<Value<'a>> {
    let value = eval.snapshot.env.get(str::from_utf8(name).ok()?)?;
    Some(Value::Text(Text::Borrowed(value.as_bytes())))
}

fn env<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    Ok(variable(eval, values.text_at(0)).unwrap_or(Value::EMPTY))
}

fn env_or_default<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    Ok(variable(eval, values.text_at(0)).unwrap_or_else(|| values.value_at(1)))
}

fn must_env<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    variable(eval, values.text_at(0)).filter(Value::truth).ok_or_else(|| {
        let name = eval.literal(values.text_at(0));
        Fault::new(format!("environment variable{name} is not set or empty"))
    })
}

impl Eval<'_> {
    /// An argument for an error, when the template spells it out; what is computed may hold a secret.
    pub(crate) fn literal(&self, text: &[u8]) -> String {
        if self.has_literal_arguments {
            format!(" {:?}", String::from_utf8_lossy(text))
        } else {
            String::new()
        }
    }
}

fn consul<'a>(_: &mut Eval<'a>, _: &[Value<'a>]) -> Result<Value<'a>> {
    Err(Fault::new("this function asks Consul, and the agent is connected to Vault only"))
}

fn nomad<'a>(_: &mut Eval<'a>, _: &[Value<'a>]) -> Result<Value<'a>> {
    Err(Fault::new("this function asks Nomad, and the agent is connected to Vault only"))
}

/// Only Consul and Nomad make such lists, so there is never anything to group.
fn grouped<'a>(_: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    if values.iter().any(|value| !value.is_nil()) {
        return Err(Fault::new("wants a list of Consul, and the agent is connected to Vault only"));
    }
    Ok(Map::any(Entries::new()))
}
