//! openEHR REST 1.0: query requests, result sets with typed cells, errors (contract 3.1, 3.2).
use crate::{
    aql,
    failure::{Class, Failure, Reason, Told},
    json::Json,
};

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Name, for example `EHRID`; `#0` without alias.
    pub name: String,
    /// Path, if the server states it.
    pub path: Option<String>,
}

/// A value in a row, text as written: no rounding, no limit of size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// A text.
    Text(String),
    /// A text that is a date and time with offset.
    DateTime(String),
    /// A whole number.
    Integer(String),
    /// Another number.
    Decimal(String),
    /// A boolean.
    Boolean(bool),
    /// Nothing.
    Null,
    /// An object or array.
    Object(Json),
}

impl Cell {
    /// Kind, as in `expected.json` of the vectors.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "string",
            Self::DateTime(_) => "datetime",
            Self::Integer(_) => "integer",
            Self::Decimal(_) => "decimal",
            Self::Boolean(_) => "boolean",
            Self::Null => "null",
            Self::Object(_) => "object",
        }
    }

    /// Text as written, of a simple value.
    pub fn raw(&self) -> Option<String> {
        match self {
            Self::Text(text) | Self::DateTime(text) | Self::Integer(text) | Self::Decimal(text) => {
                Some(text.clone())
            }
            Self::Boolean(value) => Some(value.to_string()),
            Self::Null | Self::Object(_) => None,
        }
    }

    /// The cell as JSON, byte for byte as it came.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Text(text) | Self::DateTime(text) => Json::Text(text.clone()),
            Self::Integer(text) | Self::Decimal(text) => Json::Number(text.clone()),
            Self::Boolean(value) => Json::Boolean(*value),
            Self::Null => Json::Null,
            Self::Object(json) => json.clone(),
        }
    }
}

impl From<Json> for Cell {
    fn from(json: Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Boolean(value) => Self::Boolean(value),
            Json::Number(text) if text.contains(['.', 'e', 'E']) => Self::Decimal(text),
            Json::Number(text) => Self::Integer(text),
            Json::Text(text) if is_offset_date_time(&text) => Self::DateTime(text),
            Json::Text(text) => Self::Text(text),
            other => Self::Object(other),
        }
    }
}

/// `YYYY-MM-DDTHH:MM[:SS[.fraction]]` with `Z` or `±HH[:MM[:SS]]`.
fn is_offset_date_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| {
        bytes.get(range).is_some_and(|part| part.iter().all(u8::is_ascii_digit))
    };
    let at = |index: usize, wanted: u8| bytes.get(index) == Some(&wanted);
    let number = |range: std::ops::Range<usize>| text.get(range).and_then(|part| part.parse::<u8>().ok());
    let shape = digits(0..4)
        && at(4, b'-')
        && digits(5..7)
        && at(7, b'-')
        && digits(8..10)
        && at(10, b'T')
        && digits(11..13)
        && at(13, b':')
        && digits(14..16);
    let in_range = |range, low, high| number(range).is_some_and(|value| (low..=high).contains(&value));
    if !shape
        || !in_range(5..7, 1, 12)
        || !in_range(8..10, 1, 31)
        || !in_range(11..13, 0, 23)
        || !in_range(14..16, 0, 59)
    {
        return false;
    }
    let mut next = 16;
    if at(next, b':') {
        if !digits(17..19) || !in_range(17..19, 0, 59) {
            return false;
        }
        next = 19;
        if at(next, b'.') {
            let fraction = bytes[next + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            if !(1..=9).contains(&fraction) {
                return false;
            }
            next += 1 + fraction;
        }
    }
    match &bytes[next..] {
        b"Z" => true,
        [b'+' | b'-', rest @ ..] => {
            let two = |part: &[u8]| part.len() == 2 && part.iter().all(u8::is_ascii_digit);
            matches!(rest.len(), 2 | 5 | 8) && rest.split(|byte| *byte == b':').all(two)
        }
        _ => false,
    }
}

/// Rows of a query.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResultSet {
    /// Name of a stored query.
    pub name: Option<String>,
    /// The query.
    pub q: Option<String>,
    /// Facts about the execution.
    pub meta: Vec<(String, Json)>,
    /// Columns.
    pub columns: Vec<Column>,
    /// Rows; each has as many cells as there are columns, where columns are stated.
    pub rows: Vec<Vec<Cell>>,
}

impl ResultSet {
    /// Reads an answer.
    ///
    /// # Errors
    /// Refused, unavailable or a protocol error.
    pub fn read(status: u16, body: &[u8], max_bytes: usize) -> Result<Self, Failure> {
        if status != 200 {
            return Err(refused(status, body));
        }
        let json = Json::read_within(body, max_bytes)?;
        let Some(Json::List(rows)) = json.find("rows") else {
            return Err(Reason::Malformed("rows").into());
        };
        let columns: Vec<Column> = json
            .get("columns")
            .items()
            .iter()
            .enumerate()
            .map(|(at, column)| Column {
                name: column.get("name").filled().unwrap_or_else(|| format!("#{at}")),
                path: column.get("path").filled(),
            })
            .collect();
        let mut read = Vec::with_capacity(rows.len());
        for row in rows {
            let Json::List(cells) = row else { return Err(Reason::Malformed("row").into()) };
            if !columns.is_empty() && cells.len() != columns.len() {
                return Err(Reason::Malformed("row with another number of cells than columns").into());
            }
            read.push(cells.iter().cloned().map(Cell::from).collect());
        }
        Ok(Self {
            name: json.get("name").filled(),
            q: json.get("q").filled(),
            meta: json.get("meta").members().to_vec(),
            columns,
            rows: read,
        })
    }

    /// Position of the column with this name and path (contract 2.1): both must fit. EHRbase reads
    /// `e/ehr_status/…` as a part `s` of the record and states `s/…`; then the query has to say what the column is.
    ///
    /// # Errors
    /// [`Reason::IdColumnMissing`].
    pub fn column(&self, name: &str, path: &str) -> Result<usize, Reason> {
        let fits = |column: &Column| {
            column.name == name
                && column.path.as_deref().is_some_and(|found| {
                    // Servers write the path with or without the variable of the query before it.
                    let bare = found.find('/').map_or(found, |slash| &found[slash..]);
                    bare == path || found == path
                })
        };
        let named = || {
            let mut named = self.columns.iter().enumerate().filter(|(_, column)| column.name == name);
            let is_that = self.q.as_deref().is_some_and(|q| aql::selects(q, path, name));
            let first = named.next().filter(|_| is_that)?;
            named.next().is_none().then_some(first.0)
        };
        self.columns.iter().position(fits).or_else(named).ok_or(Reason::IdColumnMissing)
    }

    /// Values of the id column in row order, and how many rows had none.
    ///
    /// # Errors
    /// [`Reason::IdColumnMissing`], or [`Reason::Malformed`] where an id is no text.
    pub fn ids(&self, name: &str, path: &str) -> Result<(Vec<String>, usize), Reason> {
        let at = self.column(name, path)?;
        let (mut ids, mut without) = (Vec::with_capacity(self.rows.len()), 0);
        for row in &self.rows {
            match row.get(at) {
                Some(Cell::Text(id) | Cell::DateTime(id)) if !id.is_empty() => ids.push(id.clone()),
                Some(Cell::Null | Cell::Text(_)) => without += 1,
                _ => return Err(Reason::Malformed("record id")),
            }
        }
        Ok((ids, without))
    }

    /// The number of a counting query: one row, one cell.
    ///
    /// # Errors
    /// [`Reason::Malformed`].
    pub fn count(&self) -> Result<u64, Reason> {
        match self.rows.as_slice() {
            [row] => match row.as_slice() {
                [Cell::Integer(text)] => text.parse().map_err(|_| Reason::Malformed("count")),
                _ => Err(Reason::Malformed("count")),
            },
            _ => Err(Reason::Malformed("count")),
        }
    }
}

/// What an error answer says.
pub fn refused(status: u16, body: &[u8]) -> Failure {
    let json = Json::read(body).unwrap_or(Json::Null);
    let code = json.get("code");
    let class = match status {
        400 | 404 | 413 | 422 => Some(Class::QueryInvalid),
        401 | 403 => Some(Class::AccessDenied),
        408 | 425 | 429 | 500.. => Some(Class::Internal),
        _ => None,
    };
    let written = code.number().map(str::to_owned).or_else(|| code.filled());
    Failure::told(Told {
        code: written.or_else(|| json.get("error").filled()),
        class,
        text: json.get("message").filled(),
        details: json.find("errors").map(|errors| errors.items().len()),
        ..Told::default()
    })
}

/// A query.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// AQL; none for a stored query.
    pub q: Option<String>,
    /// First row.
    pub offset: Option<u64>,
    /// Number of rows.
    pub fetch: Option<u64>,
    /// Parameters, names without `$`.
    pub parameters: Vec<(String, Json)>,
}

impl Request {
    /// The body of `POST query/…`.
    pub fn write(&self) -> String {
        let mut members = Vec::new();
        members.extend(self.q.clone().map(|q| ("q".to_owned(), Json::Text(q))));
        for (name, value) in [("offset", self.offset), ("fetch", self.fetch)] {
            members.extend(value.map(|value| (name.to_owned(), Json::Number(value.to_string()))));
        }
        if !self.parameters.is_empty() {
            members.push(("query_parameters".to_owned(), Json::Object(self.parameters.clone())));
        }
        Json::Object(members).write()
    }

    /// A query as a repository sees it.
    ///
    /// # Errors
    /// [`Reason::Malformed`].
    pub fn read(body: &[u8]) -> Result<Self, Reason> {
        let json = Json::read(body)?;
        if !matches!(json, Json::Object(_)) {
            return Err(Reason::Malformed("query"));
        }
        // Java clients send numbers as texts.
        let number = |name: &str| {
            let value = json.get(name);
            value.number().or(value.text()).and_then(|text| text.parse().ok())
        };
        Ok(Self {
            q: json.get("q").filled(),
            offset: number("offset"),
            fetch: number("fetch"),
            parameters: json.get("query_parameters").members().to_vec(),
        })
    }
}
