//! openEHR result sets: their JSON, and the steps of the feasibility and data sharing processes over
//! them (record-linkage.md 5 and 7.1).

mod cell;
mod json;
mod steps;

pub use cell::{Cell, CellError};
pub use json::Json;
pub use steps::{
    EHR_ID_PATH, Encryption, FILTER_COLUMN, MEDIC_ID_COLUMN, PSEUDONYM_COLUMN, SiteResult, StepError,
    unlinked,
};

use serde_json::Value;

/// A result set. Its rows hold patient data.
#[derive(Clone, PartialEq)]
pub struct ResultSet {
    /// Members of `meta` that HiGHmed knows, as (name, text) in their order.
    pub meta: Vec<(&'static str, String)>,
    /// Name of the query; empty when absent.
    pub name: String,
    /// The query; empty when absent.
    pub query: String,
    /// The columns.
    pub columns: Vec<Column>,
    /// The rows; each has a cell for every column.
    pub rows: Vec<Vec<Cell>>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its path; empty when absent.
    pub path: String,
}

/// Members of `meta`, in the order of writing.
const META: [&str; 6] = ["_href", "_type", "_schema_version", "_created", "_generator", "_executed_aql"];
/// The one with the time of making.
const CREATED: &str = "_created";

/// A text that is no result set. Names the place, never a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Not JSON.
    #[error("the result set is no JSON: {0} error in line {1}, column {2}")]
    Json(&'static str, usize, usize),
    /// A member of another kind.
    #[error("the result set's `{0}` is not as it should be")]
    Member(&'static str),
    /// A row with more or fewer cells than columns.
    #[error("row {0} (counted from 1) has not one cell per column")]
    Row(usize),
}

impl ResultSet {
    /// Reads the JSON of a result set. Members that HiGHmed does not know are left out.
    ///
    /// # Errors
    /// When it is something else.
    pub fn parse(text: &str) -> Result<ResultSet, ReadError> {
        let json: Json = serde_json::from_str(text).map_err(|error| {
            let kind = if error.is_eof() { "end of file" } else { "syntax" };
            ReadError::Json(kind, error.line(), error.column())
        })?;
        let text_of = |json: &Json, name: &'static str| match json.get(name) {
            None | Some(Json::Null) => Ok(String::new()),
            Some(Json::Text(text)) => Ok(text.clone()),
            Some(_) => Err(ReadError::Member(name)),
        };
        let list_of = |name: &'static str| match json.get(name) {
            None | Some(Json::Null) => Ok(&[][..]),
            Some(Json::List(items)) => Ok(items.as_slice()),
            Some(_) => Err(ReadError::Member(name)),
        };
        if !matches!(json, Json::Object(_)) {
            return Err(ReadError::Member("outermost value"));
        }
        let mut meta = Vec::new();
        if let Some(members) = json.get("meta") {
            for name in META {
                meta.push((name, text_of(members, name)?));
            }
            meta.retain(|(_, text)| !text.is_empty());
        }
        let mut columns = Vec::new();
        for column in list_of("columns")? {
            columns.push(Column { name: text_of(column, "name")?, path: text_of(column, "path")? });
        }
        let mut rows = Vec::new();
        for (index, row) in list_of("rows")?.iter().enumerate() {
            let Json::List(cells) = row else { return Err(ReadError::Row(index + 1)) };
            if cells.len() != columns.len() {
                return Err(ReadError::Row(index + 1));
            }
            rows.push(cells.iter().map(|cell| Cell::from(cell.clone())).collect());
        }
        Ok(ResultSet { meta, name: text_of(&json, "name")?, query: text_of(&json, "q")?, columns, rows })
    }

    /// The JSON of a result set, as Jackson writes it: fixed order, empty members left out.
    #[must_use]
    pub fn to_json(&self) -> String {
        let text = |text: &str| Json::Text(text.to_owned());
        let object = |members: Vec<(&str, Json)>| {
            let filled = |json: &Json| match json {
                Json::Text(text) => !text.is_empty(),
                Json::List(items) => !items.is_empty(),
                Json::Object(members) => !members.is_empty(),
                _ => true,
            };
            let named = members.into_iter().filter(|(_, json)| filled(json));
            Json::Object(named.map(|(name, json)| (name.to_owned(), json)).collect())
        };
        let columns = self.columns.iter();
        let columns =
            columns.map(|column| object(vec![("name", text(&column.name)), ("path", text(&column.path))]));
        let rows = self.rows.iter().map(|row| Json::List(row.iter().map(Cell::to_json).collect()));
        object(vec![
            ("meta", object(self.meta.iter().map(|(name, value)| (*name, text(value))).collect())),
            ("name", text(&self.name)),
            ("q", text(&self.query)),
            ("columns", Json::List(columns.collect())),
            ("rows", Json::List(rows.collect())),
        ])
        .to_string()
    }

    /// The same as a value of serde_json, for comparisons.
    ///
    /// # Errors
    /// Never: what is written is JSON.
    pub fn to_value(&self) -> Result<Value, serde_json::Error> {
        serde_json::from_str(&self.to_json())
    }

    /// Place of a column.
    #[must_use]
    pub fn column(&self, name: &str, path: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name && column.path == path)
    }
}

impl std::fmt::Debug for ResultSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ResultSet({} columns, {} rows, redacted)", self.columns.len(), self.rows.len())
    }
}
