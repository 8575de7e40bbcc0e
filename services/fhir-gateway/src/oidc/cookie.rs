//! Cookies whose content only we can read or write.
use aws_lc_rs::{aead, hmac};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};

/// Bytes of a nonce.
const NONCE: usize = 12;
/// On every cookie: only over TLS, not for scripts, not with writes that other sites cause.
const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Lax";

/// Seals with AES-256-GCM under a key all replicas have.
pub(super) struct Seal {
    key: Option<aead::RandomizedNonceKey>,
}

impl Seal {
    /// A key of its own from the replicas' shared secret.
    pub(super) fn new(secret: &[u8]) -> Self {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let key = hmac::sign(&secret, b"dsf oidc cookies 1");
        // 32 bytes are what the algorithm asks for; without a key nothing is sealed or opened.
        Self { key: aead::RandomizedNonceKey::new(&aead::AES_256_GCM, key.as_ref()).ok() }
    }

    /// The value of `Set-Cookie`. The name is part of what is sealed: no cookie passes for another.
    pub(super) fn cookie<T: Serialize>(&self, name: &str, content: &T, max_age: i64) -> Option<String> {
        let mut bytes = serde_json::to_vec(content).ok()?;
        let nonce = self.key.as_ref()?.seal_in_place_append_tag(aead::Aad::from(name), &mut bytes).ok()?;
        let sealed = URL_SAFE_NO_PAD.encode([nonce.as_ref().as_slice(), &bytes].concat());
        Some(format!("{name}={sealed}; Max-Age={max_age}; {ATTRIBUTES}"))
    }

    /// The content of a cookie in the `Cookie` header; nothing where it is absent or not ours.
    pub(super) fn open<T: DeserializeOwned>(&self, name: &str, header: &str) -> Option<T> {
        let value = header
            .split(';')
            .filter_map(|pair| pair.trim().split_once('='))
            .find_map(|(known, value)| (known == name).then_some(value))?;
        let mut bytes = URL_SAFE_NO_PAD.decode(value).ok()?;
        let (nonce, sealed) = bytes.split_at_mut_checked(NONCE)?;
        let nonce = aead::Nonce::try_assume_unique_for_key(nonce).ok()?;
        let opened = self.key.as_ref()?.open_in_place(nonce, aead::Aad::from(name), sealed).ok()?;
        serde_json::from_slice(opened).ok()
    }
}

/// `Set-Cookie` that removes a cookie.
pub(super) fn removed(name: &str) -> String {
    format!("{name}=; Max-Age=0; {ATTRIBUTES}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_cookies_open_and_only_under_their_name() {
        let seal = Seal::new(&[1; 32]);
        let cookie = seal.cookie("a", &"content".to_owned(), 60).unwrap();
        for attribute in ["Secure", "HttpOnly", "SameSite=Lax", "Max-Age=60"] {
            assert!(cookie.contains(attribute), "{attribute} in {cookie}");
        }
        let pair = cookie.split(';').next().unwrap().to_owned();
        let mut changed = pair.clone();
        let last = changed.pop().unwrap();
        changed.insert(10, if last == 'A' { 'B' } else { 'A' });
        let table = [
            ("itself", pair.clone(), true),
            ("among others", format!("x=1; {pair}; y=2"), true),
            ("changed", changed, false),
            ("cut", pair[..20].to_owned(), false),
            ("empty", "a=".to_owned(), false),
            ("under another name", pair.replacen("a=", "b=", 1), false),
        ];
        for (what, header, expected) in table {
            let name = if what == "under another name" { "b" } else { "a" };
            assert_eq!(seal.open::<String>(name, &header).is_some(), expected, "{what}");
        }
        assert!(Seal::new(&[2; 32]).open::<String>("a", &pair).is_none(), "another site's secret");
    }
}
