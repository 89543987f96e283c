//! Keys and certificates that templates make for themselves.

use core::net::IpAddr;

use super::encoding::{STANDARD, decoded};
use super::{Arguments, Function, Param, call};
use crate::base::time::Wall;
use crate::domain::template::error::{Fault, Result};
use crate::domain::template::go::eval::Eval;
use crate::domain::template::value::{Record, Text as Bytes, Value};
use crate::domain::x509::{Block, Certificate, Issuer, Kind, PrivateKey, Wish};

use Param::{Anys, Certificate as Cert, Int, Text};

/// Sorted by name.
pub(super) const TABLE: &[Function] = &[
    call(
        "sprig_buildCustomCert",
        &[Text, Text],
        "a certificate of its own, for genSignedCert: certificate and key, PEM in base64",
        build_custom,
    ),
    call("sprig_genCA", &[Text, Int], "a CA with an RSA key: common name, days", |e, v| {
        make(e, v, &Shape { is_ca: true, ..Shape::PLAIN })
    }),
    call(
        "sprig_genCAWithKey",
        &[Text, Int, Text],
        "a CA with a given key: common name, days, key in PEM",
        |e, v| make(e, v, &Shape { is_ca: true, key: Some(2), ..Shape::PLAIN }),
    ),
    call(
        "sprig_genPrivateKey",
        &[Text],
        "a private key in PEM: rsa (4096 bits), ecdsa (P-256) or ed25519",
        private_key,
    ),
    call(
        "sprig_genSelfSignedCert",
        &[Text, Anys, Anys, Int],
        "a certificate that signs itself: common name, IP addresses, DNS names, days",
        |e, v| make(e, v, &Shape { names: Some(1), ..Shape::PLAIN }),
    ),
    call(
        "sprig_genSelfSignedCertWithKey",
        &[Text, Anys, Anys, Int, Text],
        "the same with a given key, in PEM",
        |e, v| make(e, v, &Shape { names: Some(1), key: Some(4), ..Shape::PLAIN }),
    ),
    call(
        "sprig_genSignedCert",
        &[Text, Anys, Anys, Int, Cert],
        "a certificate signed by a CA: common name, IP addresses, DNS names, days, CA",
        |e, v| make(e, v, &Shape { names: Some(1), issuer: Some(4), ..Shape::PLAIN }),
    ),
    call(
        "sprig_genSignedCertWithKey",
        &[Text, Anys, Anys, Int, Cert, Text],
        "the same with a given key, in PEM",
        |e, v| make(e, v, &Shape { names: Some(1), issuer: Some(4), key: Some(5), is_ca: false }),
    ),
];

/// Steps that slow things count for, so that a render of nothing else takes about a second.
const RSA_2048_STEPS: usize = 1_000_000;
const RSA_4096_STEPS: usize = 4_500_000;
const SIGNATURE_STEPS: usize = 300_000;

/// Where the arguments of a function stand that are not first.
struct Shape {
    /// Addresses, then names; without them the days come second.
    names: Option<usize>,
    issuer: Option<usize>,
    key: Option<usize>,
    is_ca: bool,
}

impl Shape {
    const PLAIN: Self = Self { names: None, issuer: None, key: None, is_ca: false };
}

fn private_key<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let (kind, steps) = match values.text_at(0) {
        b"" | b"rsa" => (Kind::Rsa(4096), RSA_4096_STEPS),
        b"ecdsa" => (Kind::Ec, SIGNATURE_STEPS),
        b"ed25519" => (Kind::Ed25519, SIGNATURE_STEPS),
        b"dsa" => {
            let message = "DSA keys are not made here, as nothing current takes them: use ed25519";
            return Err(Fault::new(message));
        }
        other => return eval.made([b"Unknown type ", other].concat()),
    };
    eval.meter.steps(steps)?;
    let key = PrivateKey::draw(kind, &mut eval.draw(values)?).map_err(Fault::new)?;
    let text = key.to_pem().map_err(Fault::new)?;
    eval.made(text.as_bytes().to_vec())
}

fn make<'a>(eval: &mut Eval<'a>, values: &[Value<'a>], shape: &Shape) -> Result<Value<'a>> {
    eval.meter.steps(SIGNATURE_STEPS)?;
    let mut chance = eval.draw(values)?;
    let key = match shape.key {
        Some(at) => PrivateKey::of_pem(values.text_at(at))
            .map_err(|error| Fault::new(format!("parsing private key: {error}")))?,
        None => {
            eval.meter.steps(RSA_2048_STEPS)?;
            PrivateKey::draw(Kind::Rsa(2048), &mut chance).map_err(Fault::new)?
        }
    };
    let issuer = match shape.issuer.map(|at| values.value_at(at)) {
        Some(Value::Record(ca)) => {
            eval.meter.steps(SIGNATURE_STEPS)?;
            Some(Issuer::of_pem(ca.text("Cert"), ca.text("Key")).map_err(Fault::new)?)
        }
        _ => None,
    };
    let (addresses, names, days) = match shape.names {
        Some(at) => (addresses(values.list_at(at))?, dns_names(values.list_at(at + 1))?, at + 2),
        None => (Vec::new(), Vec::new(), 1),
    };
    let wish = Wish {
        common_name: String::from_utf8_lossy(values.text_at(0)).into_owned(),
        addresses,
        names,
        from: eval.snapshot.now.unwrap_or(Wall(0)),
        days: values.int_at(days),
        is_ca: shape.is_ca,
        serial: chance.array(),
    };
    let certificate = wish.issue(&key, issuer.as_ref()).map_err(Fault::new)?;
    let key = key.to_pem().map_err(Fault::new)?;
    certificate_of(eval, certificate.into_bytes(), key.as_bytes().to_vec())
}

fn certificate_of<'a>(
    eval: &mut Eval<'a>,
    certificate: Vec<u8>,
    key: Vec<u8>,
) -> Result<Value<'a>> {
    let fields = vec![("Cert", eval.made(certificate)?), ("Key", eval.made(key)?)];
    Ok(Record::value("sprig.certificate", fields))
}

fn addresses(items: &[Value<'_>]) -> Result<Vec<IpAddr>> {
    let parsed = items.iter().enumerate().map(|(i, item)| {
        let text = if let Value::Text(text) = item { str::from_utf8(text).ok() } else { None };
        let address = text.and_then(|text| text.parse().ok());
        let message = || format!("error parsing ip: item {} of the list is none", i + 1);
        address.ok_or_else(|| Fault::new(message()))
    });
    parsed.collect()
}

fn dns_names(items: &[Value<'_>]) -> Result<Vec<String>> {
    let names = items.iter().enumerate().map(|(i, item)| {
        let text = if let Value::Text(text) = item { str::from_utf8(text).ok() } else { None };
        let at = i + 1;
        let message = || format!("error processing alternate dns name: item {at} is not a string");
        text.map(str::to_owned).ok_or_else(|| Fault::new(message()))
    });
    names.collect()
}

fn build_custom<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    eval.meter.steps(SIGNATURE_STEPS)?;
    let part = |i, name| {
        let decoded: std::result::Result<Bytes<'a>, _> =
            decoded(values.text_at(i), &STANDARD).map(Bytes::from);
        decoded.map_err(|_at| Fault::new(format!("unable to decode base64 {name}")))
    };
    let (certificate, key) = (part(0, "certificate")?, part(1, "private key")?);
    let block = Block::all(&certificate).into_iter().next();
    let block = block.ok_or_else(|| Fault::new("unable to decode certificate"))?;
    if Certificate::of_der(&block.der).is_none() {
        return Err(Fault::new("error parsing certificate: not well-formed"));
    }
    if let Err(error) = PrivateKey::of_pem(&key) {
        return Err(Fault::new(format!("error parsing private key: {error}")));
    }
    certificate_of(eval, certificate.to_vec(), key.to_vec())
}
