//! The ways to ask a decision point, as one.
use std::{collections::BTreeMap, time::Duration};

use adapter::{
    Trouble,
    audit::note,
    guard::Guard,
    http::{Body, Call, Client, FORM, form},
    tls::{Connector, SetupError},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use hospital::{
    audit::{self, Transaction, table},
    consent::{Consent, DATA_SHARING, FEASIBILITY, RECORD_LINKAGE, RETROSPECTIVE, Zone, permits},
    decision::{Answered, Check, Decision},
    failure::{Failure, Reason},
    gics,
    json::Json,
    pdqm, ser, soap,
    soap::Envelope,
    xacml,
};
use http::Method;
use time::{OffsetDateTime, macros::format_description};
use uuid::Uuid;

use crate::{BackendKind, Config};

const FHIR_JSON: &str = "application/fhir+json";
/// Most pages of the consents of one person.
const MAX_PAGES: usize = 20;

/// One question.
#[derive(Debug, Clone)]
pub struct Question {
    /// Who asks.
    pub subject: String,
    /// What for.
    pub purpose: String,
    /// Project.
    pub project: Option<String>,
    /// Records, each once.
    pub records: Vec<String>,
}

impl Question {
    /// Policy codes that the purpose needs (contract 2.6); `None` for an unknown purpose.
    pub fn codes(&self) -> Option<Vec<u32>> {
        let mut parts = self.purpose.split('+');
        let mut codes = match parts.next() {
            Some("feasibility") => FEASIBILITY.to_vec(),
            Some("data-sharing") => DATA_SHARING.to_vec(),
            _ => return None,
        };
        for part in parts {
            codes.push(match part {
                "record-linkage" => RECORD_LINKAGE,
                "retrospective" => RETROSPECTIVE,
                _ => return None,
            });
        }
        Some(codes)
    }
}

/// Decision and reason per record.
pub type Verdicts = BTreeMap<String, (Decision, &'static str)>;

/// A decision point.
pub struct Backend {
    kind: BackendKind,
    client: Client,
    guard: Guard,
    config: Config,
    zone: Zone,
}

impl Backend {
    /// Connects on first use.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn new(config: &Config) -> Result<Self, SetupError> {
        let name = match config.backend {
            BackendKind::Xacml => "pdp-xacml",
            BackendKind::Ser => "pdp-ser",
            BackendKind::FhirConsent => "pdp-fhir-consent",
            BackendKind::Gics => "pdp-gics",
            BackendKind::DenyAll => "pdp-deny-all",
        };
        let mut tls = config.tls();
        if config.backend == BackendKind::DenyAll {
            tls.allow_plaintext = true;
        } else {
            Client::check_url(&config.address)?;
        }
        let needs_system = matches!(config.backend, BackendKind::FhirConsent | BackendKind::Gics);
        if needs_system && config.identifier_system.is_none() {
            return Err(SetupError("set IDENTIFIER_SYSTEM: ids without system mix persons".to_owned()));
        }
        let zone = Zone::from_setting(&config.time_zone);
        let connector = Connector::new(&tls, config.connect_timeout.get())?;
        Ok(Self {
            kind: config.backend,
            client: Client::new(connector, config.http()),
            guard: Guard::new(name, config.limits()),
            config: config.clone(),
            zone: zone
                .ok_or_else(|| SetupError("time zone is not Europe/Berlin, UTC or an offset".to_owned()))?,
        })
    }

    /// Transaction for audit records.
    pub fn transaction(&self) -> Transaction {
        match self.kind {
            BackendKind::Xacml => table::XACML_DECISION,
            BackendKind::Ser => table::ITI_79,
            BackendKind::FhirConsent => table::CONSENT_SEARCH,
            BackendKind::Gics => table::GICS_POLICY_STATES,
            BackendKind::DenyAll => table::DENY_ALL,
        }
    }

    /// What stands between us and the decision point.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Decides all records, at the instant `at`.
    ///
    /// # Errors
    /// When some record cannot be decided: then none is.
    pub async fn decide(&self, question: &Question, at: OffsetDateTime) -> Result<Verdicts, Trouble> {
        match self.kind {
            BackendKind::DenyAll => {
                Ok(question.records.iter().map(|id| (id.clone(), (Decision::Deny, "policy"))).collect())
            }
            BackendKind::Xacml | BackendKind::Ser => self.in_batches(question).await,
            BackendKind::FhirConsent | BackendKind::Gics => self.one_by_one(question, at).await,
        }
    }

    async fn in_batches(&self, question: &Question) -> Result<Verdicts, Trouble> {
        let batches: Vec<Vec<String>> =
            question.records.chunks(xacml::MAX_RECORDS).map(<[String]>::to_vec).collect();
        let checks: Vec<(Vec<String>, Check)> = stream::iter(batches)
            .map(|records| async move {
                let asked = xacml::Question {
                    subject: question.subject.clone(),
                    purpose: question.purpose.clone(),
                    project: question.project.clone(),
                    action: self.config.action.clone(),
                    records: records.clone(),
                };
                let answered = match self.kind {
                    BackendKind::Ser => self.ask_ser(&asked).await?,
                    _ => self.ask_xacml(&asked).await?,
                };
                Ok::<_, Trouble>((records.clone(), Check::new(&records, answered, &self.config.obligations)))
            })
            .buffered(self.config.concurrency.max(1))
            .try_collect()
            .await?;
        let mut verdicts = Verdicts::new();
        for (_, check) in checks {
            if check.failed {
                return Err(Failure::Unavailable(Box::new(check.told.unwrap_or_default())).into());
            }
            for (id, decision) in check.decisions {
                let reason = match (check.deny_reasons.get(&id), decision) {
                    (Some(reason), _) => reason.as_str(),
                    (None, Decision::Permit) => "consent",
                    (None, _) => "policy",
                };
                verdicts.insert(id, (decision, reason));
            }
        }
        Ok(verdicts)
    }

    async fn ask_xacml(&self, asked: &xacml::Question) -> Result<Vec<Answered>, Trouble> {
        let call = Call {
            method: Method::POST,
            url: self.config.address.clone(),
            content_type: Some(xacml::MEDIA_TYPE.to_owned()),
            accept: xacml::MEDIA_TYPE,
            body: xacml::request(asked).to_string().into(),
            prefer: None,
        };
        note(|| noted(xacml::request(&masked(asked)).to_string()));
        let read = || async {
            let answer = self.client.send(&call).await?;
            Ok(xacml::read(answer.status, &answer.body)?)
        };
        self.guard.query("xacml", read).await
    }

    async fn ask_ser(&self, asked: &xacml::Question) -> Result<Vec<Answered>, Trouble> {
        let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
        self.guard
            .query("ITI-79", || async {
                let message_id = format!("urn:uuid:{}", Uuid::new_v4());
                let envelop = ser::Envelop {
                    id: format!("_{}", Uuid::new_v4()),
                    instant: OffsetDateTime::now_utc().format(format).unwrap_or_default(),
                    protocol: self.config.ser_namespace.clone().unwrap_or_default(),
                    organization: self.config.organization.clone(),
                    record_domain: self.config.record_domain.clone(),
                };
                let body = ser::request(&envelop, asked);
                note(|| noted(ser::request(&envelop, &masked(asked))));
                let call = Call {
                    method: Method::POST,
                    url: self.config.address.clone(),
                    content_type: Some(soap::content_type(ser::ACTION)),
                    accept: "application/soap+xml",
                    body: soap::write(ser::ACTION, &message_id, &self.config.address, &body).into(),
                    prefer: None,
                };
                let answer = self.client.send(&call).await?;
                let envelope = match (Envelope::read(&answer.body), Failure::of_http(answer.status)) {
                    (Ok(envelope), status) => {
                        let envelope = envelope.check(Some(&message_id))?;
                        match status {
                            Some(failure) => return Err(failure.into()),
                            None => envelope,
                        }
                    }
                    (Err(Reason::Malformed(_)), Some(failure)) => return Err(failure.into()),
                    (Err(reason), _) => return Err(reason.into()),
                };
                Ok(ser::read(&envelope, &envelop.id).1?)
            })
            .await
    }

    async fn one_by_one(&self, question: &Question, at: OffsetDateTime) -> Result<Verdicts, Trouble> {
        let Some(codes) = question.codes() else {
            // Nobody can have consented to what we do not know.
            let told = hospital::failure::Told::default();
            return Err(Failure::Rejected(Box::new(told)).into());
        };
        let codes = &codes;
        stream::iter(question.records.clone())
            .map(|id| async move {
                let consents = match self.kind {
                    BackendKind::Gics => self.ask_gics(&id, at).await?,
                    _ => Some(self.ask_fhir(&id).await?),
                };
                let verdict = match consents {
                    None => (Decision::Deny, "unknown-person"),
                    Some(consents) => {
                        let all = codes.iter().all(|code| permits(&consents, *code, at, self.zone));
                        if all { (Decision::Permit, "consent") } else { (Decision::Deny, "no-consent") }
                    }
                };
                Ok::<_, Trouble>((id, verdict))
            })
            .buffer_unordered(self.config.concurrency.max(1))
            .try_collect()
            .await
    }

    fn system(&self) -> String {
        self.config.identifier_system.clone().unwrap_or_default()
    }

    /// The policies of a person; `None` for somebody gICS does not know.
    async fn ask_gics(&self, id: &str, at: OffsetDateTime) -> Result<Option<Vec<Consent>>, Trouble> {
        let date = at.date();
        let domain = gics::Domain {
            domain: self.config.domain.clone(),
            identifier_system: self.system(),
            policy_version: String::new(),
            request_date: format!("{}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day()),
        };
        let call = Call {
            method: Method::POST,
            url: format!("{}/$currentPolicyStatesForPerson", self.config.address.trim_end_matches('/')),
            content_type: Some(FHIR_JSON.to_owned()),
            accept: FHIR_JSON,
            body: gics::policy_states(&domain, id).to_string().into(),
            prefer: None,
        };
        note(|| noted(format!("POST {} {}", call.url, gics::policy_states(&domain, "*"))));
        let read = || async {
            let answer = self.client.send(&call).await?;
            Ok(gics::read(answer.status, &answer.body, id)?)
        };
        match self.guard.query("gics", read).await? {
            gics::Answer::UnknownPerson => Ok(None),
            gics::Answer::Policies(consents) => Ok(Some(consents)),
            gics::Answer::Consented(_) => Err(Reason::Malformed("policies").into()),
        }
    }

    /// All active consents of a person.
    async fn ask_fhir(&self, id: &str) -> Result<Vec<Consent>, Trouble> {
        let base = self.config.address.trim_end_matches('/');
        let fields = [
            (
                "patient.identifier".to_owned(),
                format!("{}|{}", pdqm::escape(&self.system()), pdqm::escape(id)),
            ),
            ("status".to_owned(), "active".to_owned()),
        ];
        let mut call = Call {
            method: Method::POST,
            url: format!("{base}/Consent/_search"),
            content_type: Some(FORM.to_owned()),
            accept: FHIR_JSON,
            body: form(&fields).into(),
            prefer: None,
        };
        note(|| noted(format!("POST {} patient.identifier={}|*&status=active", call.url, self.system())));
        let mut consents = Vec::new();
        for _ in 0..MAX_PAGES {
            let read = || async {
                let answer = self.client.send(&call).await?;
                if let Some(failure) = Failure::of_http(answer.status) {
                    return Err(failure.into());
                }
                let bundle = Json::read(&answer.body)?;
                if bundle.get("resourceType").text() != Some("Bundle") {
                    return Err(Reason::Malformed("Bundle").into());
                }
                Ok(bundle)
            };
            let bundle = self.guard.query("consent-search", read).await?;
            for entry in bundle.get("entry").items() {
                let resource = entry.get("resource");
                match resource.get("resourceType").text() {
                    Some("Consent") => {
                        let consent = Consent::read(resource)?;
                        // A server that ignores the parameter would answer with everybody's.
                        let somebody_else =
                            consent.patient_identifier.as_ref().is_some_and(|(_, value)| value != id);
                        if somebody_else {
                            return Err(Reason::PersonMismatch.into());
                        }
                        if self.is_accepted(&consent) {
                            consents.push(consent);
                        }
                    }
                    // The search is not complete.
                    Some("OperationOutcome") => return Err(Reason::Malformed("search with outcome").into()),
                    _ => {}
                }
            }
            match pdqm::next_page(&bundle) {
                None => {
                    // All must be about one person: several patients carry the identifier, or it was ignored.
                    let mut patients: Vec<_> = consents.iter().map(|consent| &consent.patient).collect();
                    patients.sort();
                    patients.dedup();
                    return if patients.len() > 1 {
                        Err(Reason::PersonMismatch.into())
                    } else {
                        Ok(consents)
                    };
                }
                // A page elsewhere would get our credentials.
                Some(next)
                    if next.starts_with(&format!("{base}/")) || next.starts_with(&format!("{base}?")) =>
                {
                    call = Call {
                        method: Method::GET,
                        url: next,
                        content_type: None,
                        accept: FHIR_JSON,
                        body: Body::new(),
                        prefer: None,
                    };
                }
                Some(_) => return Err(Reason::Malformed("next page on another server").into()),
            }
        }
        Err(Reason::ContinuationLoop.into())
    }

    fn is_accepted(&self, consent: &Consent) -> bool {
        let accepted = &self.config.consent_profiles;
        let bare = |profile: &str| profile.split('|').next().unwrap_or_default().to_owned();
        // A withdrawal counts whatever it claims to be.
        let only_denies = consent.policies.iter().all(|policy| policy.kind == hospital::consent::Kind::Deny);
        accepted.is_empty()
            || only_denies
            || consent.profiles.iter().any(|profile| accepted.contains(&bare(profile)))
    }

    /// Longest time one try may take, for tests and time-outs above.
    pub fn answer_timeout(&self) -> Duration {
        self.config.answer_timeout.get()
    }
}

/// A question with a star in the place of its records.
fn masked(asked: &xacml::Question) -> xacml::Question {
    xacml::Question { records: vec!["*".to_owned()], ..asked.clone() }
}

fn noted(text: String) -> audit::Query {
    audit::Query { text: text.into_bytes(), details: Vec::new() }
}
