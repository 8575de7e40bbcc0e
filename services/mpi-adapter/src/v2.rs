//! An index that speaks HL7 v2: PDQ (ITI-21) and PIX (ITI-9).
use adapter::{
    Trouble,
    audit::note,
    guard::Guard,
    tls::{Connector, SetupError},
};
use hospital::{
    audit,
    failure::Reason,
    hl7v2::{
        Message, Options, pdq, pix,
        request::{self, Header, PdqRequest, identifier_parameters},
    },
    person::{Continuation, Domain, Identifier, Person, Persons, Profile, Query},
};
use messaging::hospital::Demographics;
use rand::Rng;
use telemetry::metrics::{Counter, meter};
use time::{OffsetDateTime, macros::format_description};

use crate::{
    Config, Lookup,
    backend::{only, single},
    mllp::Connections,
};

/// Most pages of one query.
const MAX_PAGES: usize = 20;
/// Persons per page: two are enough to know that there is not one.
const PAGE: u32 = 2;
/// Letters of control ids; 32 of them.
const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// An index over MLLP.
pub struct Hl7V2 {
    demographics: Connections,
    references: Connections,
    guard: Guard,
    header: Header,
    profile: Profile,
    options: Options,
    charset_assumed: Counter<u64>,
}

impl Hl7V2 {
    pub(crate) fn new(config: &Config) -> Result<Self, SetupError> {
        let connector = Connector::new(&config.tls(), config.connect_timeout.get())?;
        let connections = |address: &str| {
            Connections::new(connector.clone(), address, config.answer_timeout.get(), config.max_answer())
        };
        let references = config.cross_reference_address.as_deref().unwrap_or(&config.address);
        let options = config.options().ok_or_else(|| SetupError("unknown character set".to_owned()))?;
        if config.authority_namespace.is_none() && config.authority_universal_id.is_none() {
            return Err(SetupError(
                "set AUTHORITY_NAMESPACE or AUTHORITY_UNIVERSAL_ID: ids without domain mix persons"
                    .to_owned(),
            ));
        }
        Ok(Self {
            demographics: connections(&config.address)?,
            references: connections(references)?,
            guard: Guard::new("mpi-hl7-v2", config.limits()),
            header: Header {
                sender: (config.sender_application.clone(), config.sender_facility.clone()),
                receiver: (config.receiver_application.clone(), config.receiver_facility.clone()),
                ..Header::default()
            },
            // FHIR systems mean nothing here.
            profile: Profile { authority: Domain { system: None, ..config.authority() }, ..config.profile() },
            options,
            charset_assumed: meter().u64_counter("dsf.hospital.charset.assumed").build(),
        })
    }

    pub(crate) fn guard(&self) -> &Guard {
        &self.guard
    }

    fn header(&self) -> Header {
        let format = format_description!("[year][month][day][hour][minute][second]+0000");
        let time = OffsetDateTime::now_utc().format(format).unwrap_or_default();
        Header { time, control_id: token(), ..self.header.clone() }
    }

    fn read(&self, bytes: &[u8]) -> Result<Message, Reason> {
        let message = Message::read(bytes, self.options)?;
        if message.charset_assumed {
            self.charset_assumed.add(1, &[]);
        }
        Ok(message)
    }

    async fn page(&self, request: &PdqRequest, id: Option<&str>) -> Result<Persons, Trouble> {
        self.guard
            .query("ITI-21", || async {
                // A further try is a further message, of the same query.
                let header = self.header();
                let asked = pdq::Asked {
                    control_id: Some(header.control_id.clone()),
                    query_tag: Some(request.query_tag.clone()),
                    id: id.map(str::to_owned),
                };
                // Nobody's values, but which were asked for.
                let masked = |(field, value): &(String, String)| {
                    let is_domain = field.starts_with("@PID.3.4");
                    (field.clone(), if is_domain { value.clone() } else { "*".to_owned() })
                };
                note(|| {
                    let parameters = request.parameters.iter().map(masked).collect();
                    noted(&PdqRequest { parameters, ..request.clone() }.write(&header), &header)
                });
                let take = |bytes: &[u8]| {
                    let message = self.read(bytes)?;
                    Ok(pdq::read(&message, &asked, &self.profile).1?)
                };
                self.demographics.exchange(&request.write(&header), take).await
            })
            .await
    }

    pub(crate) async fn find(&self, id: &str) -> Result<Lookup, Trouble> {
        let authority = &self.profile.authority;
        let identifier = Identifier { value: id.to_owned(), domain: authority.clone(), kind: None };
        let request = PdqRequest {
            query_tag: token(),
            parameters: identifier_parameters(&identifier),
            limit: Some(PAGE),
            ..PdqRequest::default()
        };
        let persons = self.page(&request, Some(id)).await?;
        if persons.continuation.is_some() {
            self.cancel(&request.query_tag).await;
        }
        single(persons, Query::Identifier, Some(id), authority)
    }

    pub(crate) async fn match_person(&self, known: &Demographics) -> Result<Lookup, Trouble> {
        let values = [
            ("@PID.5.1.1", known.last.clone()),
            ("@PID.5.2", known.first.clone()),
            ("@PID.7.1", known.birth.as_ref().map(|birth| birth.replace('-', ""))),
            ("@PID.8", known.sex.clone()),
            ("@PID.11.3", known.city.clone()),
            ("@PID.11.5", known.zip.clone()),
        ];
        let parameters = values.into_iter().filter_map(|(field, value)| Some((field.to_owned(), value?)));
        let mut request = PdqRequest {
            query_tag: token(),
            parameters: parameters.collect(),
            limit: Some(PAGE),
            ..PdqRequest::default()
        };
        let mut all: Vec<Person> = Vec::new();
        let mut pointers: Vec<String> = Vec::new();
        for _ in 0..MAX_PAGES {
            let page = self.page(&request, None).await?;
            all.extend(page.persons);
            match page.continuation {
                Some(Continuation::Pointer(pointer)) => {
                    if all.len() > 1 {
                        self.cancel(&request.query_tag).await;
                        return Ok(Lookup::Ambiguous);
                    }
                    if pointers.contains(&pointer) {
                        return Err(Reason::ContinuationLoop.into());
                    }
                    pointers.push(pointer.clone());
                    request.continuation = Some(pointer);
                }
                _ => return Ok(only(all, false)),
            }
        }
        Err(Reason::ContinuationLoop.into())
    }

    /// Tells the index that no further page is taken. It is a courtesy: what comes of it changes
    /// nothing for us.
    async fn cancel(&self, query_tag: &str) {
        let header = self.header();
        let message = request::cancel(&header, query_tag);
        let taken = self.demographics.exchange(&message, |bytes| {
            let message = self.read(bytes)?;
            let class = hospital::failure::Class::IdUnknown;
            Ok(hospital::hl7v2::acknowledgement(&message, Some(&header.control_id), None, class)?)
        });
        if let Err(trouble) = taken.await {
            tracing::debug!(outcome = trouble.outcome(), "a query could not be cancelled");
        }
    }

    pub(crate) async fn cross_reference(
        &self,
        id: &str,
        targets: &[Domain],
    ) -> Result<Vec<Identifier>, Trouble> {
        let source = Identifier { value: id.to_owned(), domain: self.profile.authority.clone(), kind: None };
        let query_tag = token();
        self.guard
            .query("ITI-9", || async {
                let header = self.header();
                let asked = pix::Asked {
                    control_id: Some(header.control_id.clone()),
                    query_tag: Some(query_tag.clone()),
                    id: Some(id.to_owned()),
                    source: source.domain.clone(),
                    targets: targets.to_vec(),
                };
                note(|| {
                    let masked = Identifier { value: "*".to_owned(), ..source.clone() };
                    noted(&request::pix(&header, &query_tag, &masked, targets), &header)
                });
                let take = |bytes: &[u8]| Ok(pix::read(&self.read(bytes)?, &asked).1?);
                self.references.exchange(&request::pix(&header, &query_tag, &source, targets), take).await
            })
            .await
    }
}

/// MSH and QPD of a message, as audit records have it.
fn noted(message: &[u8], header: &Header) -> audit::Query {
    let is_wanted = |segment: &&[u8]| segment.starts_with(b"MSH") || segment.starts_with(b"QPD");
    let segments: Vec<&[u8]> = message.split(|byte| *byte == b'\r').filter(is_wanted).collect();
    audit::Query { text: segments.join(&b'\r'), details: vec![("MSH-10", header.control_id.clone())] }
}

/// 20 letters with 100 random bits: fits MSH-10 and QPD-2.
fn token() -> String {
    let mut random = rand::rng();
    (0..request::MAX_CONTROL_ID).map(|_| char::from(LETTERS[random.random_range(0..LETTERS.len())])).collect()
}
