//! Base64, hashes and their like.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ring::{digest, hmac};

use super::{Arguments, Function, Param, call, md5};
use crate::domain::template::error::{Fault, Result};
use crate::domain::template::go::eval::Eval;
use crate::domain::template::value::Value;

use Param::Text;

/// Sorted by name.
pub(super) const TABLE: &[Function] = &[
    call("base64Decode", &[Text], "decodes base64", |e, v| decode(e, v, &STANDARD)),
    call("base64Encode", &[Text], "encodes as base64", |e, v| encode(e, v, &STANDARD)),
    call("base64URLDecode", &[Text], "decodes base64 of the URL alphabet", |e, v| {
        decode(e, v, &URL)
    }),
    call("base64URLEncode", &[Text], "encodes as base64 of the URL alphabet", |e, v| {
        encode(e, v, &URL)
    }),
    call("hmacSHA256Hex", &[Text, Text], "HMAC-SHA256 of a message with a key, in hex", |e, v| {
        e.meter.steps(4 * STEPS_PER_HASH)?;
        e.meter.read(v.text_at(0).len())?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, v.text_at(1));
        Ok(hex(hmac::sign(&key, v.text_at(0)).as_ref()))
    }),
    call("md5sum", &[Text], "MD5 in hex", |e, v| {
        e.meter.steps(STEPS_PER_HASH)?;
        e.meter.text(v.text_at(0).len())?;
        Ok(hex(&md5::digest(v.text_at(0))))
    }),
    call("sha256Hex", &[Text], "SHA-256 in hex", |e, v| hash(e, v, &digest::SHA256)),
    call("sprig_adler32sum", &[Text], "Adler-32 in decimal", adler32),
    call(
        "sprig_b32dec",
        &[Text],
        "decodes base32; what is no base32 yields the error's text",
        base32_decode,
    ),
    call("sprig_b32enc", &[Text], "encodes as base32", base32_encode),
    call(
        "sprig_b64dec",
        &[Text],
        "decodes base64; what is no base64 yields the error's text",
        |e, v| match decoded(v.text_at(0), &STANDARD) {
            Ok(bytes) => e.made(bytes),
            Err(_) => {
                let at = base64_fault(v.text_at(0));
                e.made(format!("illegal base64 data at input byte {at}").into_bytes())
            }
        },
    ),
    call("sprig_b64enc", &[Text], "encodes as base64", |e, v| encode(e, v, &STANDARD)),
    call("sprig_sha1sum", &[Text], "SHA-1 in hex", |e, v| {
        hash(e, v, &digest::SHA1_FOR_LEGACY_USE_ONLY)
    }),
    call("sprig_sha256sum", &[Text], "SHA-256 in hex", |e, v| hash(e, v, &digest::SHA256)),
    call("sprig_sha512sum", &[Text], "SHA-512 in hex", |e, v| hash(e, v, &digest::SHA512)),
];

/// The hash of an empty text takes longer than other functions do.
const STEPS_PER_HASH: usize = 16;

/// Padding is mandatory; stray bits at the end are not looked at, as in Go.
const LIKE_GO: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_allow_trailing_bits(true)
    .with_decode_padding_mode(DecodePaddingMode::RequireCanonical);
pub(super) const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LIKE_GO);
const URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LIKE_GO);

/// The bytes, or where the text is wrong. Line breaks do not count.
pub(super) fn decoded(text: &[u8], engine: &GeneralPurpose) -> std::result::Result<Vec<u8>, usize> {
    let bare: Vec<u8> = text.iter().copied().filter(|b| !matches!(b, b'\r' | b'\n')).collect();
    engine.decode(&bare).map_err(|error| match error {
        base64::DecodeError::InvalidByte(at, _) => at,
        _ => bare.len() / 4 * 4,
    })
}

/// Where Go says that a text is no base64: at the first wrong byte, or at the start of a group that ends early.
fn base64_fault(text: &[u8]) -> usize {
    // Digits since the last whole four, and the padding that was seen.
    let (mut digits, mut padding) = (0, 0);
    for (at, byte) in text.iter().enumerate().filter(|(_, byte)| !matches!(byte, b'\r' | b'\n')) {
        match byte {
            b'=' if padding == 0 && digits >= 2 => padding = digits - 1,
            b'=' if padding == 1 => padding = 2,
            _ if padding == 1 => return at - 1,
            _ if padding == 2 => return at,
            b'+' | b'/' => digits = (digits + 1) % 4,
            _ if byte.is_ascii_alphanumeric() => digits = (digits + 1) % 4,
            _ => return at,
        }
    }
    if padding == 1 { text.len() } else { text.len() - digits }
}

fn decode<'a>(
    eval: &mut Eval<'a>,
    values: &[Value<'a>],
    engine: &GeneralPurpose,
) -> Result<Value<'a>> {
    let bytes = decoded(values.text_at(0), engine)
        .map_err(|at| Fault::new(format!("illegal base64 data at input byte {at}")))?;
    eval.made(bytes)
}

fn encode<'a>(
    eval: &mut Eval<'a>,
    values: &[Value<'a>],
    engine: &GeneralPurpose,
) -> Result<Value<'a>> {
    let text = values.text_at(0);
    eval.meter.text(text.len())?;
    eval.made(engine.encode(text).into_bytes())
}

fn hash<'a>(
    eval: &mut Eval<'a>,
    values: &[Value<'a>],
    algorithm: &'static digest::Algorithm,
) -> Result<Value<'a>> {
    eval.meter.steps(STEPS_PER_HASH)?;
    eval.meter.read(values.text_at(0).len())?;
    Ok(hex(digest::digest(algorithm, values.text_at(0)).as_ref()))
}

fn hex<'a>(bytes: &[u8]) -> Value<'a> {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Value::text(digits)
}

fn adler32<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    eval.meter.read(values.text_at(0).len())?;
    let (mut a, mut b) = (1_u32, 0_u32);
    for byte in values.text_at(0) {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    Ok(Value::text((b << 16 | a).to_string()))
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn base32_encode<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let text = values.text_at(0);
    eval.meter.text(text.len().saturating_mul(2))?;
    let mut out = Vec::with_capacity(text.len() * 2);
    for group in text.chunks(5) {
        let bits = group.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        let bits = bits << (8 * (5 - group.len()));
        let used = (group.len() * 8).div_ceil(5);
        for i in 0..8 {
            let digit = usize::try_from(bits >> (35 - 5 * i) & 31).unwrap_or(0);
            out.push(if i < used { BASE32.get(digit).copied().unwrap_or(b'A') } else { b'=' });
        }
    }
    eval.made(out)
}

fn base32_decode<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let text = values.text_at(0);
    let bare: Vec<u8> = text.iter().copied().filter(|b| !matches!(b, b'\r' | b'\n')).collect();
    match base32_bytes(&bare) {
        Ok(bytes) => eval.made(bytes),
        Err(at) => eval.made(format!("illegal base32 data at input byte {at}").into_bytes()),
    }
}

/// The bytes, or where the text is wrong, by Go's count. What follows the padding of the last eight is not
/// looked at.
fn base32_bytes(text: &[u8]) -> std::result::Result<Vec<u8>, usize> {
    let mut out = Vec::with_capacity(text.len());
    let (mut bits, mut count) = (0_u32, 0);
    // How many digits there are since the last whole eight.
    let mut digits = 0;
    for (at, byte) in text.iter().enumerate() {
        let rest = text.get(at + 1..).unwrap_or_default();
        if *byte == b'=' && digits >= 2 && rest.len() < 8 {
            let padding = rest.get(..7 - digits).ok_or(text.len())?;
            if let Some(wrong) = padding.iter().position(|byte| *byte != b'=') {
                return Err(at + wrong);
            }
            return if matches!(digits, 3 | 6) { Err(at) } else { Ok(out) };
        }
        let digit = BASE32.iter().position(|b| b == byte).ok_or(at)?;
        digits = (digits + 1) % 8;
        bits = (bits << 5 | u32::try_from(digit).unwrap_or(0)) & 0xfff;
        count += 5;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from(bits >> count & 0xff).unwrap_or(0));
        }
    }
    if digits == 0 { Ok(out) } else { Err(text.len() - digits) }
}
