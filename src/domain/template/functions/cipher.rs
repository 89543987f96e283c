//! Passwords, hashes of passwords, encryption and what is drawn.

use aes::Aes256;
use aes::cipher::block_padding::{NoPadding, Pkcs7};
use aes::cipher::{BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{GeneralPurpose, general_purpose::NO_PAD};
use ring::hmac;
use zeroize::Zeroizing;

use super::encoding::{STANDARD, decoded};
use super::{Arguments, Function, Param, call};
use crate::domain::template::chance::Stream;
use crate::domain::template::error::{Fault, Result};
use crate::domain::template::go::eval::Eval;
use crate::domain::template::value::Value;

use Param::{Int, Text, Uint32};

/// Sorted by name.
pub(super) const TABLE: &[Function] = &[
    call("sprig_bcrypt", &[Text], "the bcrypt hash of a password, with a salt", bcrypt),
    call("sprig_decryptAES", &[Text, Text], "undoes encryptAES: password, text", decrypt_aes),
    call(
        "sprig_derivePassword",
        &[Uint32, Text, Text, Text, Text],
        "the Master Password of counter, type, password, user and site; takes 32 MiB of memory",
        derive_password,
    ),
    call(
        "sprig_encryptAES",
        &[Text, Text],
        "AES-256-CBC in base64: password (its first 32 bytes are the key), text",
        encrypt_aes,
    ),
    call("sprig_htpasswd", &[Text, Text], "user and bcrypt hash for a password file", htpasswd),
    call("sprig_randInt", &[Int, Int], "a number from the first to below the second", random),
    call("sprig_shuffle", &[Text], "the characters in another order", shuffle),
];

/// Steps that slow functions count for, so that a render of nothing else takes about a second.
const BCRYPT_STEPS: usize = 600_000;
const SCRYPT_STEPS: usize = 2_500_000;

/// Go's `bcrypt.DefaultCost`.
const BCRYPT_COST: u32 = 10;

/// Bytes of a password that bcrypt can take in.
const BCRYPT_BYTES_MAX: usize = 72;

impl Eval<'_> {
    /// Bytes for the function being called. The arguments are part of what they are made from, so that
    /// a changed text never meets the salt of another one.
    pub(super) fn draw(&mut self, arguments: &[Value<'_>]) -> Result<Stream> {
        let seed = self.snapshot.seed.as_ref();
        let seed = seed.ok_or_else(|| Fault::new("there is nothing to draw random bytes from"))?;
        self.draws += 1;
        let parts: Vec<&[u8]> = (0..arguments.len()).map(|i| arguments.text_at(i)).collect();
        Ok(seed.stream(self.destination, self.draws, &parts))
    }
}

fn bcrypt<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let hash = bcrypt_text(eval, values, values.text_at(0))?;
    eval.made(hash)
}

fn bcrypt_text<'a>(eval: &mut Eval<'a>, values: &[Value<'a>], password: &[u8]) -> Result<Vec<u8>> {
    if password.len() > BCRYPT_BYTES_MAX {
        let error = "bcrypt: password length exceeds 72 bytes";
        return Ok(format!("failed to encrypt string with bcrypt: {error}").into_bytes());
    }
    eval.meter.steps(BCRYPT_STEPS)?;
    let salt: [u8; 16] = eval.draw(values)?.array();
    // With the zero byte that ends it, as far as there is room.
    let mut key = Zeroizing::new(Vec::with_capacity(BCRYPT_BYTES_MAX + 1));
    key.extend_from_slice(password);
    key.push(0);
    key.truncate(BCRYPT_BYTES_MAX);
    let hash = ::bcrypt::bcrypt(BCRYPT_COST, salt, &key);
    let digits = GeneralPurpose::new(&alphabet::BCRYPT, NO_PAD);
    let mut text = format!("$2a${BCRYPT_COST:02}$");
    digits.encode_string(salt, &mut text);
    digits.encode_string(hash.get(..23).unwrap_or_default(), &mut text);
    Ok(text.into_bytes())
}

fn htpasswd<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let user = values.text_at(0);
    if user.contains(&b':') {
        return eval.made([b"invalid username: ", user].concat());
    }
    let hash = bcrypt_text(eval, values, values.text_at(1))?;
    eval.made([user, b":", &hash].concat())
}

const BLOCK: usize = 16;

fn aes_key(password: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    key.iter_mut().zip(password).for_each(|(to, from)| *to = *from);
    key
}

fn encrypt_aes<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let text = values.text_at(1);
    if text.is_empty() {
        return Ok(Value::EMPTY);
    }
    eval.meter.text(text.len().saturating_mul(2))?;
    let iv: [u8; BLOCK] = eval.draw(values)?.array();
    let key = aes_key(values.text_at(0));
    let encryptor = cbc::Encryptor::<Aes256>::new((&*key).into(), &iv.into());
    let sealed = encryptor.encrypt_padded_vec::<Pkcs7>(text);
    eval.made(STANDARD.encode([&iv, sealed.as_slice()].concat()).into_bytes())
}

/// Only the last byte of the padding is looked at, as in sprig.
fn decrypt_aes<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let text = values.text_at(1);
    if text.is_empty() {
        return Ok(Value::EMPTY);
    }
    eval.meter.text(text.len())?;
    let sealed = decoded(text, &STANDARD)
        .map_err(|at| Fault::new(format!("illegal base64 data at input byte {at}")))?;
    let short = || Fault::new("the text is too short to be encrypted with AES");
    let (iv, sealed) = sealed.split_first_chunk::<BLOCK>().ok_or_else(short)?;
    if sealed.is_empty() {
        return Err(short());
    }
    let key = aes_key(values.text_at(0));
    let decryptor = cbc::Decryptor::<Aes256>::new((&*key).into(), iv.into());
    let plain = decryptor.decrypt_padded_vec::<NoPadding>(sealed);
    let plain = plain.map_err(|_unspecified| Fault::new("the text has no full blocks"))?;
    let mut plain = Zeroizing::new(plain);
    let padding = plain.last().copied().map_or(0, usize::from);
    let length = plain.len().checked_sub(padding);
    let length = length.ok_or_else(|| Fault::new("wrong password, or not the text it was"))?;
    plain.truncate(length);
    eval.made(plain.to_vec())
}

/// The Master Password algorithm, version 0.
fn derive_password<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    const SCOPE: &[u8] = b"com.lyndir.masterpassword";
    let [kind, password, user, site] = [1, 2, 3, 4].map(|i| values.text_at(i));
    let Some((_, templates)) = PASSWORDS.iter().find(|(name, _)| name.as_bytes() == kind) else {
        return eval.made([b"cannot find password template ", kind].concat());
    };
    eval.meter.steps(SCRYPT_STEPS)?;
    let counter = if let Some(Value::Uint64(n)) = values.first() { *n } else { 0 };
    let counter = u32::try_from(counter).unwrap_or_default();
    let length = |text: &[u8]| u32::try_from(text.len()).unwrap_or_default().to_be_bytes();
    let params = scrypt::Params::new(15, 8, 2).map_err(|e| Fault::new(e.to_string()))?;
    let mut key = Zeroizing::new([0; 64]);
    let salt = [SCOPE, &length(user), user].concat();
    scrypt::scrypt(password, &salt, &params, &mut *key).map_err(|e| Fault::new(e.to_string()))?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &*key);
    let message = [SCOPE, &length(site), site, &counter.to_be_bytes()].concat();
    let seed = hmac::sign(&key, &message);
    let mut seed = seed.as_ref().iter().copied().map(usize::from);
    let template = templates.get(seed.next().unwrap_or_default() % templates.len());
    let letters = template.copied().unwrap_or_default().bytes().zip(seed);
    let password = letters.map(|(class, draw)| {
        let letters = PASSWORD_LETTERS.iter().find(|(name, _)| *name == class);
        let letters = letters.map_or("", |(_, letters)| letters).as_bytes();
        letters.get(draw % letters.len().max(1)).copied().unwrap_or_default()
    });
    let password: Vec<u8> = password.collect();
    eval.made(password)
}

/// Passwords by type, each letter the name of a class.
const PASSWORDS: &[(&str, &[&str])] = &[
    ("maximum", &["anoxxxxxxxxxxxxxxxxx", "axxxxxxxxxxxxxxxxxno"]),
    (
        "long",
        &[
            "CvcvnoCvcvCvcv",
            "CvcvCvcvnoCvcv",
            "CvcvCvcvCvcvno",
            "CvccnoCvcvCvcv",
            "CvccCvcvnoCvcv",
            "CvccCvcvCvcvno",
            "CvcvnoCvccCvcv",
            "CvcvCvccnoCvcv",
            "CvcvCvccCvcvno",
            "CvcvnoCvcvCvcc",
            "CvcvCvcvnoCvcc",
            "CvcvCvcvCvccno",
            "CvccnoCvccCvcv",
            "CvccCvccnoCvcv",
            "CvccCvccCvcvno",
            "CvcvnoCvccCvcc",
            "CvcvCvccnoCvcc",
            "CvcvCvccCvccno",
            "CvccnoCvcvCvcc",
            "CvccCvcvnoCvcc",
            "CvccCvcvCvccno",
        ],
    ),
    ("medium", &["CvcnoCvc", "CvcCvcno"]),
    ("short", &["Cvcn"]),
    ("basic", &["aaanaaan", "aannaaan", "aaannaaa"]),
    ("pin", &["nnnn"]),
];

const PASSWORD_LETTERS: &[(u8, &str)] = &[
    (b'V', "AEIOU"),
    (b'C', "BCDFGHJKLMNPQRSTVWXYZ"),
    (b'v', "aeiou"),
    (b'c', "bcdfghjklmnpqrstvwxyz"),
    (b'A', "AEIOUBCDFGHJKLMNPQRSTVWXYZ"),
    (b'a', "AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"),
    (b'n', "0123456789"),
    (b'o', "@&%?,=[]_:-+*$#!'^~;()/."),
    (b'x', "AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz0123456789!@#$%^&*()"),
];

fn random<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let (start, end) = (values.int_at(0), values.int_at(1));
    let count = end.checked_sub(start).and_then(|count| u64::try_from(count).ok());
    let count = count.filter(|count| *count > 0);
    let count = count.ok_or_else(|| Fault::new("invalid argument to Intn: nothing in between"))?;
    let drawn = eval.draw(values)?.below(count)?;
    Ok(Value::Int(start.saturating_add_unsigned(drawn)))
}

fn shuffle<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    eval.meter.elements(values.text_at(0).len())?;
    let mut stream = eval.draw(values)?;
    let text = String::from_utf8_lossy(values.text_at(0));
    let mut letters: Vec<char> = text.chars().collect();
    for i in (1..letters.len()).rev() {
        let with = stream.below(u64::try_from(i + 1).unwrap_or(u64::MAX))?;
        letters.swap(i, usize::try_from(with).unwrap_or(i));
    }
    let shuffled: String = letters.into_iter().collect();
    eval.made(shuffled.into_bytes())
}
