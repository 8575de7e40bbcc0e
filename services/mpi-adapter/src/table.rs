//! An index of our own: a table in PostgreSQL, filled from a CSV file. For small sites and tests.
use std::path::Path;

use adapter::{TransportKind, Trouble, guard::Guard, tls::SetupError};
use database::{DatabaseConfig, Migration, Pool, tokio_postgres::types::ToSql};
use hospital::person::{Domain, Identifier, Person, Sex};
use messaging::hospital::Demographics;

use crate::{Config, Lookup, backend::only};

/// Largest CSV file, in bytes.
const MAX_CSV: u64 = 512 * 1024 * 1024;
const MAX_CONNECTIONS: usize = 4;
/// Domain of the column `id`.
const OWN: &str = "";

const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "persons",
    sql: "CREATE TABLE person (
            id bigint PRIMARY KEY, last text, first text, birth text, sex text, street text,
            zip text, city text, country text, insurance text);
          CREATE TABLE identifier (
            person bigint NOT NULL REFERENCES person ON DELETE CASCADE,
            domain text NOT NULL, value text NOT NULL);
          CREATE INDEX ON identifier (value, domain);
          CREATE INDEX ON identifier (person);
          CREATE INDEX ON person (last, birth);",
}];

/// Columns of a person, in the order of the table.
const COLUMNS: [&str; 9] = ["last", "first", "birth", "sex", "street", "zip", "city", "country", "insurance"];
/// How a CSV column with identifiers of another domain starts.
const OTHER_ID: &str = "id:";

/// The table.
pub struct Table {
    pool: Pool,
    guard: Guard,
    authority: Domain,
}

impl Table {
    pub(crate) async fn new(config: &Config) -> Result<Self, SetupError> {
        let setup = |error: database::Error| SetupError(format!("database of the table: {error}"));
        let Some(url) = config.database_url.clone() else {
            return Err(SetupError("set DATABASE_URL: the table lies in PostgreSQL".to_owned()));
        };
        let pool = Pool::new(&DatabaseConfig {
            url,
            password: config.database_password.clone(),
            ca: None,
            max_connections: MAX_CONNECTIONS,
            allow_unsafe_durability: false,
            application: "mpi-adapter",
            plans: database::Plans::ByValues,
        })
        .map_err(setup)?;
        pool.prepare(MIGRATIONS).await.map_err(setup)?;
        let guard = Guard::new("mpi-table", config.limits());
        let table = Self { pool, guard, authority: config.authority() };
        if let Some(path) = &config.table_csv {
            table.load(path).await?;
        }
        Ok(table)
    }

    /// Replaces everything by the file, or nothing.
    async fn load(&self, path: &Path) -> Result<(), SetupError> {
        let failed = |reason: String| SetupError(format!("{}: {reason}", path.display()));
        let size = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
        if size > MAX_CSV {
            return Err(failed(format!("larger than {MAX_CSV} bytes")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        let mut records =
            csv(&text).map_err(|line| failed(format!("line {line} is not valid CSV")))?.into_iter();
        let header = records.next().unwrap_or_default();
        let known =
            |name: &String| name == "id" || COLUMNS.contains(&name.as_str()) || name.starts_with(OTHER_ID);
        if let Some(column) = header.iter().find(|name| !known(name)) {
            return Err(failed(format!("unknown column {column}")));
        }
        let own = header.iter().position(|name| name == "id").ok_or_else(|| failed("no column id".into()))?;
        let database = |error: database::Error| SetupError(format!("table cannot be loaded: {error}"));
        let mut connection = self.pool.get().await.map_err(database)?;
        let transaction = connection.transaction().await.map_err(|e| database(e.into()))?;
        // Replicas that start together load one after the other.
        transaction
            .batch_execute("LOCK TABLE person IN EXCLUSIVE MODE; DELETE FROM person")
            .await
            .map_err(|e| database(e.into()))?;
        let person = transaction
            .prepare("INSERT INTO person VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)")
            .await
            .map_err(|e| database(e.into()))?;
        let identifier = transaction
            .prepare("INSERT INTO identifier VALUES ($1, $2, $3)")
            .await
            .map_err(|e| database(e.into()))?;
        for (at, record) in records.enumerate() {
            if record.len() != header.len() || record[own].is_empty() {
                return Err(failed(format!("record {} has other columns than the header, or no id", at + 1)));
            }
            let number = i64::try_from(at).unwrap_or(i64::MAX);
            let value = |name: &str| {
                let at = header.iter().position(|column| column == name)?;
                Some(record[at].as_str()).filter(|value| !value.is_empty())
            };
            let values: Vec<Option<&str>> = COLUMNS.iter().map(|name| value(name)).collect();
            let mut row: Vec<&(dyn ToSql + Sync)> = vec![&number];
            row.extend(values.iter().map(|value| value as &(dyn ToSql + Sync)));
            transaction.execute(&person, &row).await.map_err(|e| database(e.into()))?;
            for (name, value) in header.iter().zip(&record) {
                let domain = if name == "id" { Some(OWN) } else { name.strip_prefix(OTHER_ID) };
                let Some(domain) = domain.filter(|_| !value.is_empty()) else { continue };
                transaction
                    .execute(&identifier, &[&number, &domain, value])
                    .await
                    .map_err(|e| database(e.into()))?;
            }
        }
        transaction.commit().await.map_err(|e| database(e.into()))
    }

    pub(crate) fn guard(&self) -> &Guard {
        &self.guard
    }

    async fn rows(&self, condition: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Person>, Trouble> {
        self.guard.query("table", || self.read(condition, values)).await
    }

    async fn read(&self, condition: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Person>, Trouble> {
        let connection = self.pool.get().await.map_err(outage)?;
        // Two are enough to know that there is not one.
        let statement = format!(
            "SELECT p.id, last, first, birth, sex, street, zip, city, country, insurance, i.value
             FROM person p JOIN identifier i ON i.person = p.id AND i.domain = '' WHERE {condition} LIMIT 2"
        );
        let rows = connection.query(&statement, values).await.map_err(|error| outage(error.into()))?;
        let person = |row: &database::tokio_postgres::Row| {
            let text = |at: usize| row.get::<_, Option<String>>(at);
            let own: String = row.get(10);
            Person {
                identifiers: vec![Identifier {
                    value: own.clone(),
                    domain: self.authority.clone(),
                    kind: None,
                }],
                medic_id: Some(own),
                last: text(1),
                first: text(2),
                birth: text(3),
                sex: text(4).and_then(|code| Sex::from_hl7(&code)),
                street: text(5),
                zip: text(6),
                city: text(7),
                country: text(8),
                insurance: text(9),
                confidence: None,
                score: None,
                grade: None,
                resource: None,
            }
        };
        Ok(rows.iter().map(person).collect())
    }

    pub(crate) async fn find(&self, id: &str) -> Result<Lookup, Trouble> {
        self.rows("i.value = $1", &[&id]).await.map(|persons| only(persons, false))
    }

    pub(crate) async fn match_person(&self, known: &Demographics) -> Result<Lookup, Trouble> {
        let condition = "($1::text IS NULL OR last = $1) AND ($2::text IS NULL OR first = $2)
             AND ($3::text IS NULL OR birth = $3) AND ($4::text IS NULL OR sex = $4)
             AND ($5::text IS NULL OR zip = $5) AND ($6::text IS NULL OR city = $6)";
        let Demographics { last, first, birth, sex, zip, city } = known;
        self.rows(condition, &[last, first, birth, sex, zip, city]).await.map(|persons| only(persons, false))
    }

    pub(crate) async fn cross_reference(
        &self,
        id: &str,
        targets: &[Domain],
    ) -> Result<Vec<Identifier>, Trouble> {
        let Lookup::Person(_) = self.find(id).await? else { return Ok(Vec::new()) };
        let connection = self.pool.get().await.map_err(outage)?;
        let rows = connection
            .query(
                "SELECT o.domain, o.value FROM identifier i JOIN identifier o ON o.person = i.person
                 WHERE i.domain = '' AND i.value = $1 AND o.domain <> ''",
                &[&id],
            )
            .await
            .map_err(|error| outage(error.into()))?;
        let found = rows.iter().map(|row| {
            let name: String = row.get(0);
            // The column's name stands for the domain, whichever way it is named.
            Identifier { value: row.get(1), domain: named(name), kind: None }
        });
        let wanted =
            |found: &Identifier| targets.is_empty() || targets.iter().any(|t| same(t, &found.domain));
        Ok(found.filter(wanted).collect())
    }
}

fn named(name: String) -> Domain {
    if name.contains(':') {
        Domain { system: Some(name), ..Domain::default() }
    } else if name.starts_with(|first: char| first.is_ascii_digit()) {
        Domain { universal_id: Some(name), ..Domain::default() }
    } else {
        Domain { namespace: Some(name), ..Domain::default() }
    }
}

fn same(target: &Domain, found: &Domain) -> bool {
    let equal = |a: &Option<String>, b: &Option<String>| a.is_some() && a == b;
    equal(&target.namespace, &found.namespace)
        || equal(&target.universal_id, &found.universal_id)
        || equal(&target.system, &found.system)
}

/// The database is the index here: what it cannot answer now is an outage.
fn outage(error: database::Error) -> Trouble {
    tracing::warn!(%error, "the table cannot be read");
    Trouble::Transport(TransportKind::Other)
}

/// Records of a CSV text (RFC 4180); the number of the first bad line else.
fn csv(text: &str) -> Result<Vec<Vec<String>>, usize> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut records, mut record, mut field) = (Vec::new(), Vec::new(), String::new());
    let (mut quoted, mut closed, mut line) = (false, false, 1);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character == '\n' {
            line += 1;
        }
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            '"' if quoted => {
                quoted = false;
                closed = true;
            }
            other if quoted => field.push(other),
            '"' if field.is_empty() && !closed => quoted = true,
            ',' => {
                record.push(std::mem::take(&mut field));
                closed = false;
            }
            '\r' if characters.peek() == Some(&'\n') => {}
            '\n' => {
                record.push(std::mem::take(&mut field));
                closed = false;
                let done = std::mem::take(&mut record);
                if done.len() > 1 || !done[0].is_empty() {
                    records.push(done);
                }
            }
            _ if closed => return Err(line),
            '"' => return Err(line),
            other => field.push(other),
        }
    }
    if quoted {
        return Err(line);
    }
    if !field.is_empty() || !record.is_empty() {
        record.push(field);
        records.push(record);
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::csv;

    #[test]
    fn csv_is_read_as_rfc_4180_says() {
        let rows =
            |text: &str| csv(text).map(|rows| rows.iter().map(|row| row.join("|")).collect::<Vec<_>>());
        assert_eq!(
            rows("a,b\r\n1,\"x, \"\"y\"\"\"\n\n2,\n"),
            Ok(vec!["a|b".into(), "1|x, \"y\"".into(), "2|".into()])
        );
        assert_eq!(rows("a\n\"b\nc\"\n"), Ok(vec!["a".into(), "b\nc".into()]));
        assert_eq!(rows("a,\"b"), Err(1));
        assert_eq!(rows("a\nx\"y\n"), Err(2));
        assert_eq!(rows("a\n\"x\"y\n"), Err(2));
    }
}
