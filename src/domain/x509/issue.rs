//! Certificates as sprig makes them.

use core::net::IpAddr;
use std::str::FromStr as _;

use rcgen::string::{BmpString, Ia5String, PrintableString, TeletexString};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyUsagePurpose, SanType, SerialNumber,
};
use time::{Duration, OffsetDateTime};
use x509_cert::der::asn1::Any;
use x509_cert::der::{Tag, Tagged as _};

use super::{Block, Certificate, PrivateKey};
use crate::base::time::Wall;

/// What a certificate shall say.
pub(crate) struct Wish {
    pub(crate) common_name: String,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) names: Vec<String>,
    pub(crate) from: Wall,
    pub(crate) days: i64,
    pub(crate) is_ca: bool,
    /// The serial number, at most 128 bits.
    pub(crate) serial: [u8; 16],
}

/// Who signs.
pub(crate) struct Issuer {
    certificate: Certificate,
    key: PrivateKey,
}

type Result<T> = std::result::Result<T, String>;

impl Issuer {
    /// Of the two PEM texts of a CA.
    pub(crate) fn of_pem(certificate: &[u8], key: &[u8]) -> Result<Self> {
        let block = Block::all(certificate).into_iter().next();
        let block = block.ok_or("unable to decode certificate")?;
        let certificate = Certificate::of_der(&block.der);
        let certificate = certificate.ok_or("error parsing certificate: not well-formed")?;
        let key = PrivateKey::of_pem(key).map_err(|e| format!("error parsing private key: {e}"))?;
        Ok(Self { certificate, key })
    }
}

impl Wish {
    /// The certificate for `key` in PEM; without an issuer it signs itself.
    pub(crate) fn issue(&self, key: &PrivateKey, issuer: Option<&Issuer>) -> Result<String> {
        let failed = |e: rcgen::Error| format!("error creating certificate: {e}");
        let mut params = self.params()?;
        let Some(issuer) = issuer else {
            return Ok(params.self_signed(key).map_err(failed)?.pem());
        };
        let mut parent = CertificateParams::default();
        parent.distinguished_name = distinguished_name(&issuer.certificate)?;
        if let Some(id) = issuer.certificate.key_id() {
            parent.key_identifier_method = KeyIdMethod::PreSpecified(id);
            params.use_authority_key_identifier_extension = true;
        }
        let issuer = rcgen::Issuer::from_params(&parent, &issuer.key);
        Ok(params.signed_by(key, &issuer).map_err(failed)?.pem())
    }

    fn params(&self) -> Result<CertificateParams> {
        let mut params = CertificateParams::default();
        let from = OffsetDateTime::from_unix_timestamp(self.from.seconds()).ok();
        let from = from.ok_or("the time is out of range")?;
        let end = self.days.checked_mul(24 * 3600).map(Duration::seconds);
        let end = end.and_then(|life| from.checked_add(life));
        params.not_before = from;
        params.not_after = end.ok_or("the number of days is out of range")?;
        let mut serial = self.serial;
        // A DER integer, positive, without leading zeros but never empty.
        if let Some(first) = serial.first_mut() {
            *first = *first & 0x7f | 0x40;
        }
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, text_value(&self.common_name));
        for name in &self.names {
            let name = Ia5String::from_str(name).map_err(|_quotes| {
                "error processing alternate dns name: want ASCII characters".to_owned()
            })?;
            params.subject_alt_names.push(SanType::DnsName(name));
        }
        let addresses = self.addresses.iter().map(IpAddr::to_canonical);
        params.subject_alt_names.extend(addresses.map(SanType::IpAddress));
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.is_ca = IsCa::ExplicitNoCa;
        if self.is_ca {
            params.key_usages.push(KeyUsagePurpose::KeyCertSign);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        Ok(params)
    }
}

/// Go writes the plainest kind of string that holds the text.
fn text_value(text: &str) -> DnValue {
    PrintableString::from_str(text)
        .map_or_else(|_other| DnValue::Utf8String(text.to_owned()), DnValue::PrintableString)
}

/// A subject as the issuer of another certificate, kind of string for kind of string: verifiers compare
/// the bytes.
fn distinguished_name(certificate: &Certificate) -> Result<DistinguishedName> {
    let mut name = DistinguishedName::new();
    for part in certificate.tbs().subject().iter_rdn() {
        for (i, attribute) in part.iter().enumerate() {
            let oid: Vec<u64> = attribute.oid.arcs().map(u64::from).collect();
            let kind = DnType::CustomDnType(oid);
            if i > 0 || name.get(&kind).is_some() {
                return Err("the CA's subject has two parts of one kind, or parts side by side, \
                            and such names cannot be written here"
                    .to_owned());
            }
            let value = string_value(&attribute.value);
            let value = value.ok_or("the CA's subject has a part that is no text")?;
            name.push(kind, value);
        }
    }
    Ok(name)
}

fn string_value(value: &Any) -> Option<DnValue> {
    let bytes = value.value();
    let text = || str::from_utf8(bytes).ok();
    Some(match value.tag() {
        Tag::Utf8String => DnValue::Utf8String(text()?.to_owned()),
        Tag::PrintableString => DnValue::PrintableString(PrintableString::from_str(text()?).ok()?),
        Tag::Ia5String => DnValue::Ia5String(Ia5String::from_str(text()?).ok()?),
        Tag::TeletexString => DnValue::TeletexString(TeletexString::from_str(text()?).ok()?),
        Tag::BmpString => DnValue::BmpString(BmpString::from_utf16be(bytes.to_vec()).ok()?),
        _ => return None,
    })
}
