//! An openEHR or FHIR repository, asked for counts, ids and rows.
use std::collections::HashSet;

use adapter::{
    Trouble,
    audit::note,
    guard::Guard,
    http::{Body, Call, Client, FORM, encode},
    tls::{Connector, SetupError},
};
use hospital::{
    aql::{self, Rewrite},
    audit::{self, Transaction, table},
    failure::{Failure, Reason},
    json::Json,
    openehr::{self, ResultSet},
    pdqm,
};
use http::Method;
use messaging::hospital::{DataRequest, IdsReply, Query, RowsReply};
use telemetry::metrics::{Counter, KeyValue, meter};

use crate::{
    Config, Source,
    config::{MAX_PAGE, PAGE},
};

/// Ids per restricted query; larger sets are asked in parts.
const RESTRICTED: usize = 500;
/// Most pages of one FHIR search that is counted by reading it.
const MAX_PAGES: usize = 10_000;
const FHIR_JSON: &str = "application/fhir+json";
/// Room for rows in one answer over NATS, in bytes.
const MAX_ROWS_TEXT: usize = 900 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Wrong {
    /// The query is not sent.
    #[error(transparent)]
    Query(#[from] aql::Error),
    /// The request cannot be answered by this source.
    #[error("{0}")]
    Request(&'static str),
    /// The rows of a page are more than one answer over NATS holds.
    #[error("the rows of the page do not fit into one answer: ask for fewer")]
    PageTooLarge,
    /// The repository gave no usable answer.
    #[error(transparent)]
    Trouble(#[from] Trouble),
}

impl From<Reason> for Wrong {
    fn from(reason: Reason) -> Self {
        Self::Trouble(reason.into())
    }
}

/// A repository.
pub struct Repository {
    client: Client,
    guard: Guard,
    config: Config,
    base: String,
    rows: Counter<u64>,
}

impl Repository {
    /// Connects on first use.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn new(config: &Config) -> Result<Self, SetupError> {
        Client::check_url(&config.address)?;
        if config.backend == Source::Fhir && config.identifier_system.is_none() {
            return Err(SetupError("set IDENTIFIER_SYSTEM: record ids of patients".to_owned()));
        }
        let name = match config.backend {
            Source::Openehr => "mdat-openehr",
            Source::Fhir => "mdat-fhir",
        };
        let connector = Connector::new(&config.tls(), config.connect_timeout.get())?;
        Ok(Self {
            client: Client::new(connector, config.http()),
            guard: Guard::new(name, config.limits()),
            base: config.address.trim_end_matches('/').to_owned(),
            config: config.clone(),
            rows: meter().u64_counter("dsf.hospital.rows").build(),
        })
    }

    /// Transaction for audit records.
    pub fn transaction(&self) -> Transaction {
        match self.config.backend {
            Source::Openehr => table::OPENEHR_QUERY,
            Source::Fhir => table::FHIR_SEARCH,
        }
    }

    /// What stands between us and the repository.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Counts what is handed out: ids or rows.
    fn count_rows(&self, kind: &'static str, count: usize) {
        self.rows.add(count as u64, &[KeyValue::new("kind", kind)]);
    }

    /// How many records. With `consented` only those: as a clause of the query where it is AQL.
    ///
    /// # Errors
    /// See [`Wrong`].
    pub async fn count(&self, request: &DataRequest) -> Result<u64, Wrong> {
        match (&request.query, self.config.backend) {
            (Query::Aql(query), Source::Openehr) => {
                aql::check_count(query, false)?;
                let Some(consented) = &request.consented else {
                    return Ok(self
                        .ask(&request.query, Some(query.clone()), request, None, &[])
                        .await?
                        .count()?);
                };
                // Each record is in one part, so the parts add up.
                let (mut count, ids) = (0_u64, distinct(consented));
                for part in ids.chunks(RESTRICTED) {
                    let (restricted, names) = aql::restrict(query, &self.config.id_path, part.len())?;
                    let bound: Vec<(String, Json)> =
                        names.into_iter().zip(part.iter().map(|id| Json::Text((*id).clone()))).collect();
                    let set = self.ask(&request.query, Some(restricted), request, None, &bound).await?;
                    count = count.saturating_add(set.count()?);
                }
                Ok(count)
            }
            (Query::Stored { .. }, Source::Openehr) if request.consented.is_none() => {
                Ok(self.ask(&request.query, None, request, None, &[]).await?.count()?)
            }
            (Query::Stored { .. }, Source::Openehr) => Err(Wrong::Request(
                "a stored count cannot be restricted: ask a stored query for ids and filter",
            )),
            (Query::FhirSearch(search), Source::Fhir) => self.count_search(search, request).await,
            _ => Err(Wrong::Request("this repository does not speak the language of the query")),
        }
    }

    /// Ids of a page of records; with `consented` only those.
    ///
    /// # Errors
    /// See [`Wrong`].
    pub async fn ids(&self, request: &DataRequest) -> Result<IdsReply, Wrong> {
        if let (Query::FhirSearch(search), Source::Fhir) = (&request.query, self.config.backend) {
            let (limit, offset) = page(request)?;
            let (ids, without) = self.search_ids(search).await?;
            let next = offset.saturating_add(limit);
            let more = (ids.len() as u64) > next;
            let ids = ids.into_iter().skip(as_count(offset)).take(as_count(limit)).collect();
            let ids = filter(ids, request);
            self.count_rows("id", ids.len());
            return Ok(IdsReply { ids, without_id: without, next: more.then_some(next) });
        }
        let (set, next) = self.rows_of(request).await?;
        let (ids, without) = set.ids(&self.config.id_column, &self.config.id_path)?;
        let ids = filter(ids, request);
        self.count_rows("id", ids.len());
        Ok(IdsReply { ids, without_id: without as u64, next })
    }

    /// Rows of a page; with `consented` only those of these records.
    ///
    /// # Errors
    /// See [`Wrong`].
    pub async fn rows(&self, request: &DataRequest) -> Result<RowsReply, Wrong> {
        let (set, next) = self.rows_of(request).await?;
        let kept: Option<(usize, HashSet<&String>)> = match &request.consented {
            None => None,
            Some(consented) => {
                Some((set.column(&self.config.id_column, &self.config.id_path)?, consented.iter().collect()))
            }
        };
        let is_kept = |row: &&Vec<openehr::Cell>| match &kept {
            None => true,
            Some((at, consented)) => {
                row.get(*at).and_then(openehr::Cell::raw).is_some_and(|id| consented.contains(&id))
            }
        };
        let rows = set.rows.iter().filter(is_kept);
        let rows: Vec<Json> =
            rows.map(|row| Json::List(row.iter().map(openehr::Cell::to_json).collect())).collect();
        let count = rows.len();
        let rows = Json::List(rows).write();
        if rows.len() > MAX_ROWS_TEXT {
            return Err(Wrong::PageTooLarge);
        }
        self.count_rows("row", count);
        let columns = set.columns.into_iter().map(|column| (column.name, column.path)).collect();
        Ok(RowsReply { columns, rows, next })
    }

    async fn rows_of(&self, request: &DataRequest) -> Result<(ResultSet, Option<u64>), Wrong> {
        let (limit, offset) = page(request)?;
        let text = match (&request.query, self.config.backend) {
            (Query::Aql(query), Source::Openehr) => {
                // A count is understood as the question for the ids behind it.
                let query = match aql::check_count(query, false) {
                    Ok(()) => {
                        let rewrite =
                            if self.config.parsed_rewrite { Rewrite::Parsed } else { Rewrite::Literal };
                        aql::count_to_ids(query, &self.config.id_path, rewrite)?
                    }
                    Err(_) => query.clone(),
                };
                aql::check_paged(&query)?;
                Some(query)
            }
            (Query::Stored { .. }, Source::Openehr) => None,
            _ => return Err(Wrong::Request("this repository does not speak the language of the query")),
        };
        let set = self.ask(&request.query, text, request, Some((offset, limit)), &[]).await?;
        let got = set.rows.len() as u64;
        if got > limit {
            return Err(Reason::Malformed("more rows than the page").into());
        }
        // A full page may be the last one; the next one tells.
        let next = (got == limit).then_some(offset.saturating_add(limit));
        Ok((set, next))
    }

    async fn ask(
        &self,
        query: &Query,
        text: Option<String>,
        request: &DataRequest,
        page: Option<(u64, u64)>,
        bound: &[(String, Json)],
    ) -> Result<ResultSet, Wrong> {
        let path = match query {
            Query::Stored { name, version } => {
                let usable = |part: &str| {
                    !part.is_empty()
                        && part
                            .chars()
                            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':'))
                        && part != ".."
                };
                if !usable(name) || !version.as_deref().is_none_or(usable) {
                    return Err(Wrong::Request("the name of the stored query is not one"));
                }
                version
                    .as_ref()
                    .map_or_else(|| encode(name), |version| format!("{}/{}", encode(name), encode(version)))
            }
            _ => "aql".to_owned(),
        };
        // The query as somebody wrote it; ids of records are bound to parameters and are not in it.
        note(|| audit::Query {
            text: text.clone().unwrap_or_else(|| path.clone()).into_bytes(),
            details: Vec::new(),
        });
        let mut parameters: Vec<(String, Json)> =
            request.parameters.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
        parameters.extend(bound.iter().cloned());
        let body =
            openehr::Request { q: text, offset: page.map(|p| p.0), fetch: page.map(|p| p.1), parameters };
        let call = Call {
            method: Method::POST,
            url: format!("{}/query/{path}", self.base),
            content_type: Some("application/json".to_owned()),
            accept: "application/json",
            body: body.write().into(),
            prefer: None,
        };
        let read = || async {
            let answer = self.client.send(&call).await?;
            Ok(ResultSet::read(answer.status, &answer.body, self.config.max_answer)?)
        };
        Ok(self.guard.query("openehr-query", read).await?)
    }

    async fn count_search(&self, search: &str, request: &DataRequest) -> Result<u64, Wrong> {
        if request.consented.is_some() {
            let (ids, _) = self.search_ids(search).await?;
            return Ok(filter(ids, request).len() as u64);
        }
        let (kind, parameters) = checked(search)?;
        note_search(search);
        let summary = if parameters.is_empty() {
            "_summary=count".to_owned()
        } else {
            format!("{parameters}&_summary=count")
        };
        let bundle = self.search(&self.search_call(kind, &summary)).await?;
        let total = bundle.get("total").whole().and_then(|total| u64::try_from(total).ok());
        total.ok_or(Reason::Malformed("total").into())
    }

    fn search_call(&self, kind: &str, parameters: &str) -> Call {
        Call {
            method: Method::POST,
            url: format!("{}/{kind}/_search", self.base),
            content_type: Some(FORM.to_owned()),
            accept: FHIR_JSON,
            body: parameters.to_owned().into(),
            prefer: None,
        }
    }

    async fn search(&self, call: &Call) -> Result<Json, Wrong> {
        let read = || async {
            let answer = self.client.send(call).await?;
            if let Some(failure) = Failure::of_http(answer.status) {
                return Err(failure.into());
            }
            let bundle = Json::read_within(&answer.body, self.config.max_answer)?;
            if bundle.get("resourceType").text() != Some("Bundle") {
                return Err(Reason::Malformed("Bundle").into());
            }
            Ok(bundle)
        };
        Ok(self.guard.query("fhir-search", read).await?)
    }

    /// Record ids of all patients that a search finds, each once, and patients without one.
    async fn search_ids(&self, search: &str) -> Result<(Vec<String>, u64), Wrong> {
        let (kind, parameters) = checked(search)?;
        if kind != "Patient" {
            return Err(Wrong::Request("record ids come from a search for Patient"));
        }
        note_search(search);
        let system = self.config.identifier_system.as_deref();
        let mut call = self.search_call(kind, parameters);
        let (mut ids, mut seen, mut without) = (Vec::new(), HashSet::new(), 0);
        for _ in 0..MAX_PAGES {
            let bundle = self.search(&call).await?;
            for entry in bundle.get("entry").items() {
                let patient = entry.get("resource");
                match patient.get("resourceType").text() {
                    Some("Patient") => {}
                    // Something was left out.
                    Some("OperationOutcome") => return Err(Reason::Malformed("search with outcome").into()),
                    _ => continue,
                }
                let own =
                    patient.get("identifier").items().iter().find(|id| id.get("system").text() == system);
                match own.and_then(|id| id.get("value").filled()) {
                    Some(id) if seen.insert(id.clone()) => ids.push(id),
                    Some(_) => {}
                    None => without += 1,
                }
            }
            match pdqm::next_page(&bundle) {
                None => return Ok((ids, without)),
                Some(next)
                    if next.starts_with(&format!("{}/", self.base))
                        || next.starts_with(&format!("{}?", self.base)) =>
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
}

/// A search as an audit record has it: which parameters, and values only where they are codes of FHIR.
fn note_search(search: &str) {
    let (kind, parameters) = search.split_once('?').unwrap_or((search, ""));
    let masked = parameters.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let is_plain = name.starts_with('_') && name != "_id" && name != "_content" && name != "_text";
        format!("{name}={}", if is_plain { value } else { "*" })
    });
    let text = format!("{kind}?{}", masked.collect::<Vec<_>>().join("&"));
    note(|| audit::Query { text: text.into_bytes(), details: Vec::new() });
}

/// Type and parameters of a search; nothing else than a search of one type.
fn checked(search: &str) -> Result<(&str, &str), Wrong> {
    let (kind, parameters) = search.split_once('?').unwrap_or((search, ""));
    let is_type =
        kind.starts_with(|c: char| c.is_ascii_uppercase()) && kind.chars().all(|c| c.is_ascii_alphanumeric());
    let usable = parameters.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if is_type && usable {
        Ok((kind, parameters))
    } else {
        Err(Wrong::Request("only searches of the form Type?parameters are sent"))
    }
}

/// Limit and offset of the page.
fn page(request: &DataRequest) -> Result<(u64, u64), Wrong> {
    match request.limit.unwrap_or(PAGE) {
        limit @ 1..=MAX_PAGE => Ok((limit, request.offset)),
        _ => Err(Wrong::Request("a page has 1 to 3000 rows")),
    }
}

fn as_count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn distinct(ids: &[String]) -> Vec<&String> {
    let mut seen = HashSet::new();
    ids.iter().filter(|id| seen.insert(*id)).collect()
}

fn filter(ids: Vec<String>, request: &DataRequest) -> Vec<String> {
    match &request.consented {
        None => ids,
        Some(consented) => {
            let consented: HashSet<&String> = consented.iter().collect();
            ids.into_iter().filter(|id| consented.contains(id)).collect()
        }
    }
}
