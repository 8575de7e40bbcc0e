//! AES-256-GCM in the form of the HiGHmed cells: standard Base64 of IV, ciphertext and tag, with an
//! identifier as associated data (record-linkage.md 7.1, processes.md 4.3).

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::{Zeroize as _, Zeroizing};

use crate::secret::Key256;

/// Something that does not open. One outcome for every cause, so that nobody learns from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot be decrypted with this key and context")]
pub struct OpenError;

fn library_key(key: &Key256) -> Result<LessSafeKey, OpenError> {
    UnboundKey::new(&AES_256_GCM, key.expose()).map(LessSafeKey::new).map_err(|_| OpenError)
}

/// Encrypts with a given IV, which must never be used twice with a key. `message` has [`NONCE_LEN`] bytes of
/// any value before the plaintext; afterwards it is IV, ciphertext, tag.
fn seal_with(key: &Key256, context: &[u8], iv: [u8; NONCE_LEN], message: &mut Vec<u8>, start: usize) {
    let sealed = library_key(key).and_then(|key| {
        let from_iv = message.get_mut(start..).and_then(|from| from.split_first_chunk_mut::<NONCE_LEN>());
        let (before, body) = from_iv.ok_or(OpenError)?;
        *before = iv;
        key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(iv), Aad::from(context), body)
            .map_err(|_| OpenError)
    });
    match sealed {
        Ok(tag) => message.extend_from_slice(tag.as_ref()),
        // The library refuses only keys of a wrong length and messages above 64 GiB. Never give out
        // what is not encrypted.
        Err(OpenError) => {
            message.zeroize();
        }
    }
}

/// Bytes that [`seal_in_place`] needs before the plaintext.
pub(crate) const BEFORE: usize = NONCE_LEN;
/// Bytes that it adds behind it.
pub(crate) const BEHIND: usize = 16;

/// Encrypts what `message` holds from `start` + [`BEFORE`] on, with a random IV; [`BEHIND`] bytes are added.
pub(crate) fn seal_in_place(
    key: &Key256,
    context: &[u8],
    message: &mut Vec<u8>,
    start: usize,
    random: &mut dyn rand::CryptoRng,
) {
    let mut iv = [0; NONCE_LEN];
    random.fill_bytes(&mut iv);
    seal_with(key, context, iv, message, start);
}

/// Opens IV, ciphertext and tag in the place where they are; the plaintext begins at [`BEFORE`]. Where it
/// does not open the library leaves no plaintext either.
pub(crate) fn open_in_place(key: &Key256, context: &[u8], message: &mut [u8]) -> Result<usize, OpenError> {
    let (iv, body) = message.split_first_chunk_mut::<NONCE_LEN>().ok_or(OpenError)?;
    library_key(key)?
        .open_in_place(Nonce::assume_unique_for_key(*iv), Aad::from(context), body)
        .map_err(|_| OpenError)
        .map(|plaintext| plaintext.len())
}

fn with_room(plaintext: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(BEFORE + plaintext.len() + BEHIND);
    message.resize(BEFORE, 0);
    message.extend_from_slice(plaintext);
    message
}

/// Encrypts with a random IV: IV, ciphertext, tag.
pub fn seal(key: &Key256, context: &[u8], plaintext: &[u8], random: &mut dyn rand::CryptoRng) -> Vec<u8> {
    let mut message = with_room(plaintext);
    seal_in_place(key, context, &mut message, 0, random);
    message
}

/// Opens what [`seal`] made.
///
/// # Errors
/// Always the same one, whatever is wrong.
pub fn open(key: &Key256, context: &[u8], message: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let mut message = Zeroizing::new(message.to_vec());
    let length = open_in_place(key, context, &mut message)?;
    message.copy_within(BEFORE..BEFORE + length, 0);
    message.truncate(length);
    Ok(message)
}

/// Encrypts a text as Base64. `context` is an identifier of the research study or the organization.
pub fn encrypt(key: &Key256, context: &str, plaintext: &str, random: &mut dyn rand::CryptoRng) -> String {
    STANDARD.encode(seal(key, context.as_bytes(), plaintext.as_bytes(), random))
}

/// Opens what [`encrypt`] made.
///
/// # Errors
/// Always the same one, whatever is wrong.
pub fn decrypt(key: &Key256, context: &str, text: &str) -> Result<Zeroizing<String>, OpenError> {
    let message = STANDARD.decode(text).map_err(|_| OpenError)?;
    let plaintext = open(key, context.as_bytes(), &message)?;
    std::str::from_utf8(&plaintext).map(|text| Zeroizing::new(text.to_owned())).map_err(|_| OpenError)
}

/// For vectors only: [`seal`] with a given IV.
pub(crate) fn seal_for_vector(key: &Key256, context: &str, iv: [u8; NONCE_LEN], plaintext: &str) -> Vec<u8> {
    let mut message = with_room(plaintext.as_bytes());
    seal_with(key, context.as_bytes(), iv, &mut message, 0);
    message
}
