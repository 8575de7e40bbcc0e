//! An index that speaks FHIR: PDQm (ITI-78, ITI-119) and PIXm (ITI-83).
use adapter::{
    Trouble,
    audit::note,
    guard::Guard,
    http::{Body, Call, Client, FORM, form},
    tls::{Connector, SetupError},
};
use hospital::{
    audit,
    pdqm::{self, Known},
    person::{Domain, Identifier, Profile, Query},
    pixm,
};
use http::Method;
use messaging::hospital::Demographics;

use crate::{Config, Lookup, backend::single};

const FHIR_JSON: &str = "application/fhir+json";
/// Candidates of a match: enough to see that no single one is certain.
const CANDIDATES: u32 = 3;

/// An index over FHIR.
pub struct Fhir {
    client: Client,
    guard: Guard,
    base: String,
    references: String,
    profile: Profile,
}

impl Fhir {
    pub(crate) fn new(config: &Config) -> Result<Self, SetupError> {
        let base = |url: &str| Client::check_url(url).map(|()| url.trim_end_matches('/').to_owned());
        let references = config.cross_reference_address.as_deref().unwrap_or(&config.address);
        if config.authority_system.is_none() {
            return Err(SetupError("set AUTHORITY_SYSTEM: ids without system mix persons".to_owned()));
        }
        let connector = Connector::new(&config.tls(), config.connect_timeout.get())?;
        Ok(Self {
            client: Client::new(connector, config.http()),
            guard: Guard::new("mpi-fhir", config.limits()),
            base: base(&config.address)?,
            references: base(references)?,
            profile: Profile {
                authority: Domain { system: config.authority_system.clone(), ..Domain::default() },
                ..config.profile()
            },
        })
    }

    pub(crate) fn guard(&self) -> &Guard {
        &self.guard
    }

    fn own(&self, id: &str) -> Identifier {
        Identifier { value: id.to_owned(), domain: self.profile.authority.clone(), kind: None }
    }

    pub(crate) async fn find(&self, id: &str) -> Result<Lookup, Trouble> {
        // POST keeps the identifier out of the server's access log.
        let call = Call {
            method: Method::POST,
            url: format!("{}/Patient/_search", self.base),
            content_type: Some(FORM.to_owned()),
            accept: FHIR_JSON,
            body: form(&pdqm::identifier_search(&self.own(id))).into(),
            prefer: None,
        };
        note(|| {
            let masked = pdqm::identifier_search(&self.own("*"));
            noted(format!("POST {} {}", call.url, plain(&masked)))
        });
        let read = || async {
            let answer = self.client.send(&call).await?;
            Ok(pdqm::read(answer.status, &answer.body, Some(id), &self.profile)?)
        };
        let persons = self.guard.query("ITI-78", read).await?;
        single(persons, Query::Identifier, Some(id), &self.profile.authority)
    }

    pub(crate) async fn match_person(&self, known: &Demographics) -> Result<Lookup, Trouble> {
        let gender = match known.sex.as_deref() {
            Some("F") => Some("female"),
            Some("M") => Some("male"),
            Some("U") => Some("unknown"),
            Some(_) => Some("other"),
            None => None,
        };
        let known = Known {
            last: known.last.clone(),
            given: known.first.clone().into_iter().collect(),
            birth: known.birth.clone(),
            gender: gender.map(str::to_owned),
            zip: known.zip.clone(),
            city: known.city.clone(),
        };
        let call = Call {
            method: Method::POST,
            url: format!("{}/Patient/$match", self.base),
            content_type: Some(FHIR_JSON.to_owned()),
            accept: FHIR_JSON,
            body: pdqm::match_request(&known, true, CANDIDATES).to_string().into(),
            prefer: None,
        };
        note(|| {
            let mask = |value: &Option<String>| value.as_ref().map(|_| "*".to_owned());
            let masked = Known {
                last: mask(&known.last),
                given: known.given.iter().map(|_| "*".to_owned()).collect(),
                birth: mask(&known.birth),
                gender: mask(&known.gender),
                zip: mask(&known.zip),
                city: mask(&known.city),
            };
            noted(format!("POST {} {}", call.url, pdqm::match_request(&masked, true, CANDIDATES)))
        });
        let read = || async {
            let answer = self.client.send(&call).await?;
            Ok(pdqm::read(answer.status, &answer.body, None, &self.profile)?)
        };
        let persons = self.guard.query("ITI-119", read).await?;
        single(persons, Query::Match, None, &self.profile.authority)
    }

    pub(crate) async fn cross_reference(
        &self,
        id: &str,
        targets: &[Domain],
    ) -> Result<Vec<Identifier>, Trouble> {
        let systems: Vec<String> = targets.iter().filter_map(|target| target.system.clone()).collect();
        let query = form(&pixm::parameters(&self.own(id), &systems));
        let call = Call {
            method: Method::GET,
            url: format!("{}/Patient/$ihe-pix?{query}", self.references),
            content_type: None,
            accept: FHIR_JSON,
            body: Body::new(),
            prefer: None,
        };
        note(|| {
            let masked = plain(&pixm::parameters(&self.own("*"), &systems));
            noted(format!("GET {}/Patient/$ihe-pix?{masked}", self.references))
        });
        let read = || async {
            let answer = self.client.send(&call).await?;
            Ok(pixm::read(answer.status, &answer.body)?)
        };
        let found = self.guard.query("ITI-83", read).await?;
        let own = &self.profile.authority;
        let is_asked = |found: &Identifier| found.value == id && own.matches(&found.domain);
        Ok(found.identifiers.into_iter().filter(|identifier| !is_asked(identifier)).collect())
    }
}

fn noted(text: String) -> audit::Query {
    audit::Query { text: text.into_bytes(), details: Vec::new() }
}

/// Fields as people read them.
fn plain(fields: &[(String, String)]) -> String {
    let pair = |(name, value): &(String, String)| format!("{name}={value}");
    fields.iter().map(pair).collect::<Vec<_>>().join("&")
}
