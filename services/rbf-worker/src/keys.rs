//! The site's own keys: derived from configured secrets, so that replicas need no common store.
use std::{collections::HashSet, path::Path, sync::Arc};

use adapter::tls::SetupError;
use base64::{Engine, engine::general_purpose::STANDARD};
use linkage::{
    data_set::OwnKey,
    digest::{Function, Hasher},
    pseudonym::StudyKeys,
    secret::Key256,
};
use messaging::recipient::Opener;
use zeroize::Zeroizing;

use crate::Config;

/// Separates derived keys by use.
const STUDY: &str = "dsf study key 1";
const ORGANIZATION: &str = "dsf organization key 1";

/// All keys of a site. No `Debug`; wiped when dropped.
pub(crate) struct Keys {
    /// Opens what is sealed to us.
    pub(crate) opener: Opener,
    organization: Option<Key256>,
    studies: Vec<(String, Key256)>,
    data_set: Option<Arc<OwnKey>>,
}

impl Keys {
    /// From the settings, whose texts are wiped.
    pub(crate) fn take(config: &mut Config) -> Result<Self, SetupError> {
        let private = Zeroizing::new(std::mem::take(&mut config.private_key));
        let opener = Opener::new(&private).map_err(|error| SetupError(format!("private key: {error}")))?;
        let organization = config.organization_secret.take().map(Zeroizing::new);
        let organization = organization.map(|text| key("organization secret", &text)).transpose()?;
        let mut studies = Vec::new();
        let mut names = HashSet::new();
        for entry in std::mem::take(&mut config.study_secrets).into_iter().map(Zeroizing::new) {
            // Base64 ends with `=`: only the first one separates.
            let Some((name, secret)) = entry.split_once('=') else {
                return Err(SetupError("DSF_RBF_STUDY_SECRETS is id=secret, separated by commas".to_owned()));
            };
            if !names.insert(name.to_owned()) {
                return Err(SetupError(format!("study secret {name} is given twice")));
            }
            studies.push((name.to_owned(), key(&format!("study secret {name}"), secret)?));
        }
        let data_set = config.data_set_key.as_deref().map(data_set).transpose()?;
        Ok(Self { opener, organization, studies, data_set })
    }

    /// The keys of a study; `None` without study secrets.
    pub(crate) fn study(&self, study: &str) -> Option<StudyKeys> {
        let derived = |(id, secret): &(String, Key256)| derive(secret, &[STUDY, study, id]);
        let (last, earlier) = self.studies.split_last()?;
        let mut keys = StudyKeys::new(study, &last.0, derived(last)?);
        for entry in earlier {
            // Ids are unique, so that none is taken.
            keys.keep(&entry.0, derived(entry)?).ok()?;
        }
        Some(keys)
    }

    /// The key of encrypted ids.
    pub(crate) fn organization(&self, organization: &str) -> Option<Key256> {
        derive(self.organization.as_ref()?, &[ORGANIZATION, organization])
    }

    /// The key of a data management site.
    pub(crate) fn data_set(&self) -> Option<Arc<OwnKey>> {
        self.data_set.clone()
    }
}

/// HMAC-SHA-256 over the parts with their lengths.
fn derive(secret: &Key256, parts: &[&str]) -> Option<Key256> {
    let mut message = Vec::new();
    for part in parts {
        message.extend_from_slice(&(part.len() as u64).to_be_bytes());
        message.extend_from_slice(part.as_bytes());
    }
    let digest = Hasher::keyed(Function::Sha256, secret.expose()).digest(&message);
    let bytes = Zeroizing::new(digest.as_ref().to_vec());
    Key256::from_bytes(&bytes).ok()
}

fn key(what: &str, base64: &str) -> Result<Key256, SetupError> {
    let bytes = STANDARD.decode(base64.trim()).map(Zeroizing::new);
    let key = bytes.ok().and_then(|bytes| Key256::from_bytes(&bytes).ok());
    key.ok_or_else(|| SetupError(format!("{what} must be 32 bytes in Base64")))
}

fn data_set(path: &Path) -> Result<Arc<OwnKey>, SetupError> {
    let failed = |reason: String| SetupError(format!("data set key {}: {reason}", path.display()));
    let pem = std::fs::read(path).map(Zeroizing::new).map_err(|error| failed(error.to_string()))?;
    OwnKey::from_pem(&pem).map(Arc::new).map_err(|error| failed(error.to_string()))
}
