//! Encryption: every wrong input has the one outcome, and old keys still open.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeySize, Pkcs1PublicEncryptingKey, PrivateDecryptingKey, PublicEncryptingKey};
use linkage::cipher::OpenError;
use linkage::data_set::{OwnKey, Parties, RecipientKey, RsaKeyError};
use linkage::idat::{BirthDate, Idat, Text};
use linkage::pseudonym::{MedicId, StudyKeyError, StudyKeys};
use linkage::secret::Key256;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

const PARTIES: Parties<'_> = Parties { sender: "dic.example", recipient: "dms.example" };

fn random() -> StdRng {
    StdRng::seed_from_u64(7)
}

#[test]
fn data_sets_have_the_layout_of_the_wire_and_one_outcome_for_every_fault() {
    let private = PrivateDecryptingKey::generate(KeySize::Rsa4096).unwrap();
    let own = OwnKey::from_der(AsDer::<Pkcs8V1Der<'_>>::as_der(&private).unwrap().as_ref()).unwrap();
    let public = private.public_key();
    let der = AsDer::<PublicKeyX509Der<'_>>::as_der(&public).unwrap();
    let recipient = RecipientKey::from_der(der.as_ref()).unwrap();
    assert!(RecipientKey::from_published(der.as_ref(), &recipient.hash()).is_ok());
    assert_eq!(RecipientKey::from_published(der.as_ref(), &[0; 32]).unwrap_err(), RsaKeyError::Hash);

    let content = b"<Bundle xmlns=\"http://hl7.org/fhir\"/>";
    let message = recipient.encrypt(&PARTIES, content, &mut random()).unwrap();
    assert_eq!(message.len(), 512 + 12 + content.len() + 16);
    // Not the numbers that the content key was made of: they take the place of a wrong key.
    let open = |message: &[u8]| own.decrypt(&PARTIES, message, &mut StdRng::seed_from_u64(8));
    assert_eq!(open(&message).unwrap().as_slice(), content);

    // In place, with content of any kind before; what fails leaves nothing readable.
    let mut large = vec![7; recipient.before()];
    large.extend_from_slice(content);
    recipient.encrypt_in_place(&PARTIES, &mut large, &mut random()).unwrap();
    assert_eq!((large.len(), open(&large).unwrap().as_slice()), (message.len(), &content[..]));
    let last = large.len() - 1;
    large[last] ^= 1;
    let refused = own.decrypt_in_place(&PARTIES, &mut large, &mut random());
    assert_eq!(refused.unwrap_err(), OpenError);
    let readable = |part: &[u8]| large.windows(part.len()).any(|window| window == part);
    assert!(!readable(&content[..4]), "the tag comes first");
    let mut short = vec![0; recipient.before() - 1];
    assert!(recipient.encrypt_in_place(&PARTIES, &mut short, &mut random()).is_err());

    let refused = |what: &str, message: &[u8]| assert_eq!(open(message).unwrap_err(), OpenError, "{what}");
    for at in [0, 100, 511, 512, 523, 524, message.len() - 1] {
        let mut changed = message.clone();
        changed[at] ^= 1;
        refused(&format!("byte {at} changed"), &changed);
    }
    for length in [0, 1, 511, 512, 523, 524, 539, message.len() - 1] {
        refused(&format!("cut to {length}"), &message[..length]);
    }
    // A key of another length, correctly wrapped.
    let wrap = Pkcs1PublicEncryptingKey::new(PublicEncryptingKey::from_der(der.as_ref()).unwrap()).unwrap();
    for length in [0, 16, 31, 33, 100] {
        let mut wrapped = vec![0; 512];
        wrap.encrypt(&vec![1; length], &mut wrapped).unwrap();
        wrapped.extend_from_slice(&message[512..]);
        refused(&format!("a key of {length} bytes"), &wrapped);
    }
    let others = Parties { recipient: "other.example", ..PARTIES };
    assert_eq!(own.decrypt(&others, &message, &mut random()).unwrap_err(), OpenError);
    for noise in [&b""[..], b"-----BEGIN PUBLIC KEY-----", &[0x30; 64]] {
        assert_eq!(RecipientKey::from_der(noise).unwrap_err(), RsaKeyError::Form);
        assert_eq!(RecipientKey::from_pem(noise).unwrap_err(), RsaKeyError::Form);
        assert_eq!(OwnKey::from_der(noise).unwrap_err(), RsaKeyError::Form);
        assert_eq!(OwnKey::from_pem(noise).unwrap_err(), RsaKeyError::Form);
    }
}

#[test]
fn pseudonyms_of_older_executions_still_open() {
    let mut random = random();
    let id = |organization: &str, value: &str| MedicId {
        organization: organization.to_owned(),
        value: Some(value.to_owned()),
    };
    let persons =
        vec![vec![id("a", "1"), id("b", "a longer one with \"quotes\" and ü")], vec![id("a", "2")], vec![]];
    let mut keys = StudyKeys::new("study", "first", Key256::generate(&mut random));
    let old = keys.create(&persons, &mut random).unwrap();
    keys.rotate("second", Key256::generate(&mut random)).unwrap();
    let new = keys.create(&persons, &mut random).unwrap();
    for (expected, pseudonyms) in [("first", old), ("second", new)] {
        let lengths: std::collections::BTreeSet<_> = pseudonyms.iter().map(|(_, text)| text.len()).collect();
        assert_eq!(lengths.len(), 1, "all pseudonyms of a cohort have one length");
        for (person, pseudonym) in pseudonyms {
            let (key, ids) = keys.open(&pseudonym).unwrap();
            assert_eq!((key, &ids), (expected, &persons[person]));
            let changed = pseudonym.replacen(|c: char| c.is_ascii_alphanumeric(), "+", 1);
            assert_eq!(keys.open(&changed), Err(OpenError));
        }
    }
    assert_eq!(
        keys.rotate("first", Key256::generate(&mut random)),
        Err(StudyKeyError::Taken("first".to_owned()))
    );
    assert_eq!(keys.open("no Base64"), Err(OpenError));
}

#[test]
fn debugging_shows_no_secret() {
    let mut random = random();
    let key = Key256::from_bytes(&[0x41; 32]).unwrap();
    let keys = StudyKeys::new("study", "id", key.clone());
    let person =
        Idat { last_name: Some(Text::from("Canary")), birthday: BirthDate::parse("1980"), ..Idat::default() };
    let config = linkage::rbf::BloomFilterConfig::generate(&mut random);
    let encoder = linkage::encode::FilterEncoder::german(b"Canary").unwrap();
    let shown = format!(
        "{key:?} {keys:?} {person:?} {:?} {config:?} {encoder:?} {:?} {:?}",
        person.birthday,
        linkage::profile::german(&person),
        MedicId { organization: "a".to_owned(), value: Some("Canary".to_owned()) },
    );
    for secret in ["Canary", "canary", "[65", "1980", "AAAA"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}
