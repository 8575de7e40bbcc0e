//! An index that speaks HL7 v3 over SOAP: PDQv3 (ITI-47) and PIXv3 (ITI-45).
use adapter::{
    Trouble,
    audit::note,
    guard::Guard,
    http::{Call, Client},
    tls::{Connector, SetupError},
};
use hospital::{
    audit,
    failure::{Failure, Reason},
    hl7v2::pix::Asked,
    person::{Continuation, Domain, Identifier, Person, Persons, Profile, Query},
    soap::{self, Envelope},
    v3::{Expected, Header, pdq, pix},
};
use http::Method;
use messaging::hospital::Demographics;
use time::{OffsetDateTime, macros::format_description};
use uuid::Uuid;

use crate::{
    Config, Lookup,
    backend::{only, single},
};

/// Most pages of one query.
const MAX_PAGES: usize = 20;
/// Persons per page.
const PAGE: u32 = 2;

/// An index over SOAP.
pub struct Hl7V3 {
    client: Client,
    guard: Guard,
    demographics: String,
    references: String,
    sender: String,
    receiver: String,
    profile: Profile,
}

/// An answer with the id of its message, which a continuation names.
struct Page {
    persons: Persons,
    message: String,
}

impl Hl7V3 {
    pub(crate) fn new(config: &Config) -> Result<Self, SetupError> {
        let url = |url: &str| Client::check_url(url).map(|()| url.to_owned());
        let references = config.cross_reference_address.as_deref().unwrap_or(&config.address);
        if config.authority_universal_id.is_none() {
            return Err(SetupError("set AUTHORITY_UNIVERSAL_ID: ids without root mix persons".to_owned()));
        }
        let connector = Connector::new(&config.tls(), config.connect_timeout.get())?;
        Ok(Self {
            client: Client::new(connector, config.http()),
            guard: Guard::new("mpi-hl7-v3", config.limits()),
            demographics: url(&config.address)?,
            references: url(references)?,
            sender: config.sender_application.clone(),
            receiver: config.receiver_application.clone(),
            profile: Profile {
                authority: Domain {
                    universal_id: config.authority_universal_id.clone(),
                    ..Domain::default()
                },
                ..config.profile()
            },
        })
    }

    pub(crate) fn guard(&self) -> &Guard {
        &self.guard
    }

    fn header(&self, query: &str) -> Header {
        let format = format_description!("[year][month][day][hour][minute][second]");
        Header {
            sender: self.sender.clone(),
            receiver: self.receiver.clone(),
            time: OffsetDateTime::now_utc().format(format).unwrap_or_default(),
            id: Uuid::new_v4().to_string(),
            query_id: (self.sender.clone(), query.to_owned()),
        }
    }

    async fn envelope(&self, url: &str, action: &str, body: &str) -> Result<Envelope, Trouble> {
        let message_id = format!("urn:uuid:{}", Uuid::new_v4());
        let call = Call {
            method: Method::POST,
            url: url.to_owned(),
            content_type: Some(soap::content_type(action)),
            accept: "application/soap+xml",
            body: soap::write(action, &message_id, url, body).into(),
            prefer: None,
        };
        let answer = self.client.send(&call).await?;
        // Faults come with 400 or 500 and say more than the status.
        match (Envelope::read(&answer.body), Failure::of_http(answer.status)) {
            (Ok(envelope), status) => {
                let envelope = envelope.check(Some(&message_id))?;
                status.map_or(Ok(envelope), |failure| Err(failure.into()))
            }
            (Err(Reason::Malformed(_)), Some(failure)) => Err(failure.into()),
            (Err(reason), _) => Err(reason.into()),
        }
    }

    async fn page(
        &self,
        query: &str,
        asked: Option<&str>,
        before: u64,
        write: impl Fn(&Header) -> (&'static str, String),
    ) -> Result<Page, Trouble> {
        self.guard
            .query("ITI-47", || async {
                let header = self.header(query);
                let (action, body) = write(&header);
                let envelope = self.envelope(&self.demographics, action, &body).await?;
                let expected = Expected { target_message: Some(header.id), query_id: Some(query.to_owned()) };
                let message = envelope.body.child("id").and_then(|id| id.filled("root")).unwrap_or_default();
                let persons = pdq::read(&envelope, &expected, asked, before, &self.profile).1?;
                Ok(Page { persons, message })
            })
            .await
    }

    /// Nobody's values, but which were asked for.
    fn note_query(&self, query: &str, parameters: &pdq::Parameters) {
        let mask = |value: &Option<String>| value.as_ref().map(|_| "*".to_owned());
        note(|| {
            let masked = pdq::Parameters {
                sex: mask(&parameters.sex),
                birth: mask(&parameters.birth),
                id: parameters.id.clone().map(|id| Identifier { value: "*".to_owned(), ..id }),
                last: mask(&parameters.last),
                first: mask(&parameters.first),
                city: mask(&parameters.city),
                zip: mask(&parameters.zip),
            };
            noted(&pdq::request(&self.header(query), &masked, Some(PAGE)))
        });
    }

    pub(crate) async fn find(&self, id: &str) -> Result<Lookup, Trouble> {
        let authority = &self.profile.authority;
        let parameters = pdq::Parameters {
            id: Some(Identifier { value: id.to_owned(), domain: authority.clone(), kind: None }),
            ..pdq::Parameters::default()
        };
        let query = Uuid::new_v4().to_string();
        self.note_query(&query, &parameters);
        let write = |header: &Header| (pdq::ACTION, pdq::request(header, &parameters, Some(PAGE)));
        let page = self.page(&query, Some(id), 0, write).await?;
        single(page.persons, Query::Identifier, Some(id), authority)
    }

    pub(crate) async fn match_person(&self, known: &Demographics) -> Result<Lookup, Trouble> {
        let parameters = pdq::Parameters {
            sex: known.sex.clone(),
            birth: known.birth.as_ref().map(|birth| birth.replace('-', "")),
            id: None,
            last: known.last.clone(),
            first: known.first.clone(),
            city: known.city.clone(),
            zip: known.zip.clone(),
        };
        let query = Uuid::new_v4().to_string();
        self.note_query(&query, &parameters);
        let write = |header: &Header| (pdq::ACTION, pdq::request(header, &parameters, Some(PAGE)));
        let mut page = self.page(&query, None, 0, write).await?;
        let mut all: Vec<Person> = Vec::new();
        for _ in 0..MAX_PAGES {
            let got = page.persons.persons.len();
            all.append(&mut page.persons.persons);
            let Some(Continuation::Start(start)) = page.persons.continuation else {
                return Ok(only(all, false));
            };
            if all.len() > 1 {
                return Ok(Lookup::Ambiguous);
            }
            if got == 0 {
                return Err(Reason::ContinuationLoop.into());
            }
            let (answered, before) = (page.message.clone(), all.len() as u64);
            let write =
                |header: &Header| (pdq::CONTINUE_ACTION, pdq::continuation(header, &answered, start, PAGE));
            page = self.page(&query, None, before, write).await?;
        }
        Err(Reason::ContinuationLoop.into())
    }

    pub(crate) async fn cross_reference(
        &self,
        id: &str,
        targets: &[Domain],
    ) -> Result<Vec<Identifier>, Trouble> {
        let source = Identifier { value: id.to_owned(), domain: self.profile.authority.clone(), kind: None };
        let query = Uuid::new_v4().to_string();
        note(|| {
            let masked = Identifier { value: "*".to_owned(), ..source.clone() };
            noted(&pix::request(&self.header(&query), &masked, targets))
        });
        self.guard
            .query("ITI-45", || async {
                let header = self.header(&query);
                let body = pix::request(&header, &source, targets);
                let envelope = self.envelope(&self.references, pix::ACTION, &body).await?;
                let expected = Expected { target_message: Some(header.id), query_id: Some(query.clone()) };
                let asked = Asked {
                    id: Some(id.to_owned()),
                    source: source.domain.clone(),
                    // HL7 v3 knows domains by their OID alone.
                    targets: targets
                        .iter()
                        .map(|target| Domain {
                            universal_id: target.universal_id.clone(),
                            ..Domain::default()
                        })
                        .collect(),
                    ..Asked::default()
                };
                Ok(pix::read(&envelope, &expected, &asked).1?)
            })
            .await
    }
}

/// The element `queryByParameter` of a query, as audit records have it.
fn noted(body: &str) -> audit::Query {
    const END: &str = "</queryByParameter>";
    let from = body.find("<queryByParameter").unwrap_or_default();
    let to = body.find(END).map_or(body.len(), |at| at + END.len());
    audit::Query { text: body[from..to].as_bytes().to_vec(), details: Vec::new() }
}
