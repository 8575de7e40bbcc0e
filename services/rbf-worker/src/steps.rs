//! Steps of result sets.
use linkage::{
    bits::Bits,
    result_set::{EHR_ID_PATH, Encryption, ResultSet},
    secret::Key256,
};
use messaging::{
    engine::Reply,
    linkage::{
        DATA_KEY_CONTEXT, EncodeReply, Encoded, FilterStep, KEYS_CONTEXT, ResultSetReply, ResultSetRequest,
        ResultSetStep,
    },
    recipient::{Context, Sealed},
};
use rand::{TryRngCore, rngs::OsRng};

use crate::serve::Service;

/// Why a step has no result.
enum Refusal {
    Invalid(String),
    Unavailable(String),
}

impl From<linkage::result_set::StepError> for Refusal {
    fn from(error: linkage::result_set::StepError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl Service {
    pub(crate) async fn result_set(&self, request: ResultSetRequest) -> Reply<ResultSetReply> {
        match self.step(request).await {
            Ok(reply) => Reply::Ok(reply),
            Err(Refusal::Invalid(reason)) => Reply::Invalid(reason),
            Err(Refusal::Unavailable(reason)) => Reply::Unavailable(reason),
        }
    }

    async fn step(&self, request: ResultSetRequest) -> Result<ResultSetReply, Refusal> {
        let set = ResultSet::parse(&request.result).map_err(|error| Refusal::Invalid(error.to_string()))?;
        let key = |sealed: &Sealed| self.data_key(&request.request_id, sealed);
        let mut dropped = 0;
        let mut random = OsRng.unwrap_err();
        let set = match &request.step {
            ResultSetStep::AddFilters(step) => {
                let encoded = self.row_filters(&request.request_id, step, &set).await?;
                let bits = encoded.header.bits as usize;
                let mut filters = Vec::new();
                for (row, encoded) in encoded.encoded.iter().enumerate() {
                    let filter = filter(encoded, bits, row)?;
                    // Nobody can be left out here: the rows would no longer be those of the query.
                    filters.push(filter.ok_or_else(|| {
                        Refusal::Invalid(format!("row {} (counted from 1): the person is not known", row + 1))
                    })?);
                }
                set.with_filters(&filters)?
            }
            ResultSetStep::FiltersOnly(step) => {
                let encoded = self.row_filters(&request.request_id, step, &set).await?;
                let bits = encoded.header.bits as usize;
                let rows = encoded.encoded.iter().enumerate();
                let filters =
                    rows.map(|(row, encoded)| filter(encoded, bits, row)).collect::<Result<Vec<_>, _>>()?;
                dropped = filters.iter().filter(|filter| filter.is_none()).count() as u64;
                set.filters_only(&filters)?
            }
            ResultSetStep::EncryptForThirdParty { study, ehr_id_path, data_key } => {
                let Some(organization_key) = self.keys.organization(&self.organization) else {
                    return Err(Refusal::Invalid(
                        "ids cannot be encrypted: set DSF_RBF_ORGANIZATION_SECRET_FILE".to_owned(),
                    ));
                };
                let encryption = Encryption {
                    data_key: &key(data_key)?,
                    study,
                    organization_key: &organization_key,
                    organization: &self.organization,
                };
                let path = ehr_id_path.as_deref().unwrap_or(EHR_ID_PATH);
                set.encrypt_for_third_party(encryption, path, &mut random)?
            }
            ResultSetStep::Decrypt { study, data_key } => set.decrypt(&key(data_key)?, study)?,
            ResultSetStep::EncryptResearchResult { study, data_key } => {
                set.encrypt_research_result(&key(data_key)?, study, &mut random)?
            }
        };
        Ok(ResultSetReply { result: set.to_json(), dropped })
    }

    /// The filters of the rows, in as many questions as it takes.
    async fn row_filters(
        &self,
        request_id: &str,
        step: &FilterStep,
        set: &ResultSet,
    ) -> Result<EncodeReply, Refusal> {
        let path = step.ehr_id_path.as_deref().unwrap_or(EHR_ID_PATH);
        let ids: Vec<String> = set.ehr_ids(path)?.into_iter().map(str::to_owned).collect();
        let keys = self.open(request_id, KEYS_CONTEXT, &step.keys).map_err(Refusal::Invalid)?;
        match self.encode_ids(&ids, &step.profile, &keys).await {
            Reply::Ok(reply) => Ok(reply),
            Reply::Invalid(reason) => Err(Refusal::Invalid(reason)),
            Reply::Unavailable(reason) => Err(Refusal::Unavailable(reason)),
        }
    }

    fn data_key(&self, request_id: &str, sealed: &Sealed) -> Result<Key256, Refusal> {
        let bytes = self.open(request_id, DATA_KEY_CONTEXT, sealed).map_err(Refusal::Invalid)?;
        Key256::from_bytes(&bytes).map_err(|error| Refusal::Invalid(error.to_string()))
    }

    /// Opens what a worker has sealed to us.
    pub(crate) fn open(
        &self,
        request_id: &str,
        purpose: &str,
        sealed: &Sealed,
    ) -> Result<zeroize::Zeroizing<Vec<u8>>, String> {
        let context = Context { site: &self.index.site, request_id, profile: purpose };
        self.keys.opener.open(context, sealed).map_err(|_| {
            format!(
                "{purpose} cannot be opened: seal them to the key of rbf.recipient, with this request's id"
            )
        })
    }
}

/// The filter of a row; `None` for a person that the index does not know. Whatever else happened fails
/// the step: an index that does not answer is not one that knows nobody.
fn filter(encoded: &Encoded, bits: usize, row: usize) -> Result<Option<Bits>, Refusal> {
    let at = |what: String| format!("row {} (counted from 1): {what}", row + 1);
    match encoded {
        Encoded::Filter(text, _) => {
            Bits::from_rbf_text(text, bits).map(Some).map_err(|error| Refusal::Invalid(at(error.to_string())))
        }
        Encoded::NotFound | Encoded::Ambiguous => Ok(None),
        Encoded::Unavailable(reason) => Err(Refusal::Unavailable(at(format!("patient index: {reason}")))),
        Encoded::Rejected(class) => Err(Refusal::Invalid(at(format!("the patient index refuses: {class}")))),
        Encoded::Unusable(reason) => Err(Refusal::Invalid(at(reason.clone()))),
    }
}
