//! Checks of AQL before it is sent, and the rewriting for consent and linkage (contract 3.3).
//!
//! AQL has no statement that writes; what a product adds must not get through either. So a query is
//! read into words first, and only shapes that are asked for pass.

/// Longest query, in bytes.
pub const MAX_QUERY: usize = 64 * 1024;
/// Words that no reading query holds.
const FORBIDDEN: [&str; 14] = [
    "INSERT", "UPDATE", "DELETE", "DROP", "ALTER", "CREATE", "TRUNCATE", "MERGE", "GRANT", "REVOKE", "CALL",
    "EXEC", "EXECUTE", "INTO",
];
/// Path of the id that every EHR has.
const EHR_ID: &str = "/ehr_id/value";
/// Name of the parameters that carry consented ids.
const PARAMETER: &str = "consented";

/// Why a query is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Longer than [`MAX_QUERY`].
    #[error("the query is longer than {MAX_QUERY} bytes")]
    TooLong,
    /// A quote or bracket that is not closed, or a character that AQL does not have.
    #[error("the query is not well-formed AQL at byte {0}")]
    Syntax(usize),
    /// Not `SELECT … FROM …`, or a word that no reading query holds.
    #[error("only queries of the form SELECT … FROM … are sent")]
    NotReading,
    /// A counting query must select one COUNT and nothing else.
    #[error("a count needs a query of the form SELECT COUNT(…) FROM …")]
    NotCounting,
    /// The count cannot be turned into a selection of ids.
    #[error("the query cannot be turned into a selection of record ids: use SELECT COUNT(e) FROM EHR e …")]
    NoRewrite,
    /// Paging and LIMIT or TOP exclude each other (contract 3.2).
    #[error("a query that is read in pages must have no TOP, LIMIT or OFFSET")]
    Limited,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Token<'a> {
    at: usize,
    text: &'a str,
    is_word: bool,
}

impl Token<'_> {
    fn is(&self, word: &str) -> bool {
        self.is_word && self.text.eq_ignore_ascii_case(word)
    }
}

fn tokens(query: &str) -> Result<Vec<Token<'_>>, Error> {
    if query.len() > MAX_QUERY {
        return Err(Error::TooLong);
    }
    let bytes = query.as_bytes();
    let (mut tokens, mut at, mut open) = (Vec::new(), 0, Vec::new());
    while let Some(byte) = bytes.get(at).copied() {
        let start = at;
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {
                at += 1;
                continue;
            }
            b'\'' | b'"' => {
                at += 1;
                loop {
                    match bytes.get(at) {
                        Some(b'\\') => at += 2,
                        Some(end) if *end == byte => break,
                        Some(_) => at += 1,
                        None => return Err(Error::Syntax(start)),
                    }
                }
                at += 1;
            }
            b'-' if bytes.get(at + 1) == Some(&b'-') => return Err(Error::Syntax(start)),
            b'/' if bytes.get(at + 1) == Some(&b'*') => return Err(Error::Syntax(start)),
            b';' | b'`' | 0..=0x1f | 0x7f => return Err(Error::Syntax(start)),
            b'(' | b'[' | b'{' => {
                open.push(byte);
                at += 1;
            }
            b')' | b']' | b'}' => {
                let wanted = match byte {
                    b')' => b'(',
                    b']' => b'[',
                    _ => b'{',
                };
                if open.pop() != Some(wanted) {
                    return Err(Error::Syntax(start));
                }
                at += 1;
            }
            _ if is_word(byte) => {
                while bytes.get(at).is_some_and(|byte| is_word(*byte)) {
                    at += 1;
                }
            }
            _ => at += 1,
        }
        // A multi-byte character outside of a text has no place in AQL; texts end at a quote.
        let text = query.get(start..at).ok_or(Error::Syntax(start))?;
        tokens.push(Token { at: start, text, is_word: is_word(byte) });
    }
    if open.is_empty() { Ok(tokens) } else { Err(Error::Syntax(query.len())) }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'.')
}

/// Checks that a query only reads.
///
/// # Errors
/// See [`Error`].
pub fn check(query: &str) -> Result<(), Error> {
    read(query).map(drop)
}

fn read(query: &str) -> Result<Vec<Token<'_>>, Error> {
    let tokens = tokens(query)?;
    let starts = tokens.first().is_some_and(|token| token.is("SELECT"));
    let selects = tokens.iter().filter(|token| token.is("SELECT")).count();
    let has_from = tokens.iter().any(|token| token.is("FROM"));
    let forbidden = |(at, token): (usize, &Token<'_>)| {
        // A path may hold any word after its slash.
        let in_path = at > 0 && tokens[at - 1].text == "/";
        token.is_word && !in_path && FORBIDDEN.iter().any(|word| token.is(word))
    };
    if !starts || selects != 1 || !has_from || tokens.iter().enumerate().any(forbidden) {
        return Err(Error::NotReading);
    }
    Ok(tokens)
}

/// Checks that a query counts: `SELECT COUNT(…) [AS name] FROM …`. Case counts in strict mode, as in
/// the original process.
///
/// # Errors
/// See [`Error`].
pub fn check_count(query: &str, strict: bool) -> Result<(), Error> {
    let tokens = read(query)?;
    if strict && !query.starts_with("SELECT COUNT") {
        return Err(Error::NotCounting);
    }
    count_argument(&tokens).map(drop)
}

/// Range of tokens inside COUNT(…), and the position of FROM.
fn count_argument(tokens: &[Token<'_>]) -> Result<(std::ops::Range<usize>, usize), Error> {
    let counts = tokens.get(1).is_some_and(|token| token.is("COUNT"));
    if !counts || tokens.get(2).map(|token| token.text) != Some("(") {
        return Err(Error::NotCounting);
    }
    let close = tokens.iter().position(|token| token.text == ")").ok_or(Error::NotCounting)?;
    let after = &tokens[close + 1..];
    let from = match after {
        [from, ..] if from.is("FROM") => close + 1,
        [as_word, name, from, ..] if as_word.is("AS") && name.is_word && from.is("FROM") => close + 3,
        _ => return Err(Error::NotCounting),
    };
    Ok((3..close, from))
}

/// What a count is about: `DISTINCT ` or nothing, the variable, the position of FROM. Records are counted as a whole
/// or by their id, which says the same.
fn counted<'a>(tokens: &[Token<'a>]) -> Result<(&'static str, &'a str, usize), Error> {
    let (argument, from) = count_argument(tokens).map_err(|_| Error::NoRewrite)?;
    let (distinct, rest) = match &tokens[argument] {
        [first, rest @ ..] if first.is("DISTINCT") => ("DISTINCT ", rest),
        rest => ("", rest),
    };
    match rest {
        [variable, path @ ..] if variable.is_word && (path.is_empty() || joined(path) == EHR_ID) => {
            Ok((distinct, variable.text, from))
        }
        _ => Err(Error::NoRewrite),
    }
}

fn joined(tokens: &[Token<'_>]) -> String {
    tokens.iter().map(|token| token.text).collect()
}

/// The variable of `FROM EHR variable`.
fn ehr_variable<'a>(tokens: &[Token<'a>]) -> Option<&'a str> {
    let ehr = tokens.windows(2).find(|pair| pair[0].is("EHR") && pair[1].is_word && !is_keyword(&pair[1]));
    ehr.map(|pair| pair[1].text)
}

/// Position of the first of these words that is not part of a path: an event has an `offset`, too.
fn clause_at(tokens: &[Token<'_>], words: &[&str]) -> Option<usize> {
    let is_one = |at: usize| words.iter().any(|word| tokens[at].is(word));
    (0..tokens.len()).find(|&at| is_one(at) && (at == 0 || tokens[at - 1].text != "/"))
}

/// Counts records by their id instead of as a whole: EHRbase 2 does not take `COUNT(e)`. Each record has one id, so
/// the number is the same. Other queries stay as they are.
///
/// # Errors
/// What [`check`] finds.
pub fn count_by_id(query: &str) -> Result<String, Error> {
    let tokens = read(query)?;
    match counted(&tokens) {
        Ok((distinct, variable, from)) if ehr_variable(&tokens) == Some(variable) => {
            Ok(format!("SELECT COUNT({distinct}{variable}{EHR_ID}) {}", &query[tokens[from].at..]))
        }
        _ => Ok(query.to_owned()),
    }
}

/// Whether a query selects this path, of any variable, under this name.
pub fn selects(query: &str, path: &str, name: &str) -> bool {
    let Ok(tokens) = read(query) else { return false };
    let selected = clause_at(&tokens, &["FROM"]).and_then(|from| tokens.get(1..from)).unwrap_or_default();
    selected.split(|token| token.text == ",").any(|column| match column {
        [distinct, column @ ..] if distinct.is("DISTINCT") => is_column(column, path, name),
        column => is_column(column, path, name),
    })
}

fn is_column(column: &[Token<'_>], path: &str, name: &str) -> bool {
    matches!(column, [variable, found @ .., by, alias]
        if variable.is_word && joined(found) == path && by.is("AS") && alias.text == name)
}

/// How a count becomes a selection of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rewrite {
    /// The text `SELECT COUNT(e)` is replaced, as the original process does: equal results.
    #[default]
    Literal,
    /// Any `SELECT COUNT([DISTINCT] variable[/ehr_id/value])` is understood; ids come in their order.
    Parsed,
}

/// Turns a count into a selection of record ids under the name `EHRID`. `path` starts with a slash.
///
/// # Errors
/// [`Error::NoRewrite`], or what [`check`] finds.
pub fn count_to_ids(query: &str, path: &str, rewrite: Rewrite) -> Result<String, Error> {
    let tokens = read(query)?;
    match rewrite {
        Rewrite::Literal => {
            const COUNT: &str = "SELECT COUNT(e)";
            if !query.contains(COUNT) {
                return Err(Error::NoRewrite);
            }
            Ok(query.replace(COUNT, &format!("SELECT e{path} as EHRID")))
        }
        Rewrite::Parsed => {
            let (distinct, variable, from) = counted(&tokens)?;
            // In the order of ids: pages of a query without an order need not fit together.
            let order = match clause_at(&tokens, &["ORDER"]) {
                None => format!(" ORDER BY {variable}{path}"),
                Some(_) => String::new(),
            };
            let rest = query[tokens[from].at..].trim_end();
            Ok(format!("SELECT {distinct}{variable}{path} as EHRID {rest}{order}"))
        }
    }
}

/// Checks that a query may be read in pages.
///
/// # Errors
/// See [`Error`].
pub fn check_paged(query: &str) -> Result<(), Error> {
    let tokens = read(query)?;
    let limited = clause_at(&tokens, &["TOP", "LIMIT", "OFFSET"]);
    if limited.is_some() { Err(Error::Limited) } else { Ok(()) }
}

/// Restricts a query to records: adds `variable path matches {$consented0, …}`. The ids themselves
/// travel as parameters, never as text. Returns the query and the names of the parameters.
///
/// # Errors
/// See [`Error`]; no ids is an error of the caller and gives [`Error::NoRewrite`].
pub fn restrict(query: &str, path: &str, ids: usize) -> Result<(String, Vec<String>), Error> {
    let tokens = read(query)?;
    if ids == 0 {
        return Err(Error::NoRewrite);
    }
    let variable = ehr_variable(&tokens).ok_or(Error::NoRewrite)?;
    let names: Vec<String> = (0..ids).map(|at| format!("{PARAMETER}{at}")).collect();
    let list = names.iter().map(|name| format!("${name}")).collect::<Vec<_>>().join(", ");
    let clause = format!("{variable}{path} matches {{{list}}}");
    let end = clause_at(&tokens, &["ORDER", "LIMIT", "OFFSET"]).map_or(query.len(), |at| tokens[at].at);
    let (body, tail) = query.split_at(end);
    let filter = tokens.iter().find(|token| token.is("WHERE"));
    let restricted = match filter {
        Some(filter) => {
            let (before, condition) = body.split_at(filter.at + "WHERE".len());
            format!("{before} ({}) AND {clause} {tail}", condition.trim())
        }
        None => format!("{} WHERE {clause} {tail}", body.trim_end()),
    };
    Ok((restricted.trim_end().to_owned(), names))
}

fn is_keyword(token: &Token<'_>) -> bool {
    ["CONTAINS", "WHERE", "ORDER", "LIMIT", "OFFSET", "AND", "OR"].iter().any(|word| token.is(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/ehr_status/subject/external_ref/id/value";

    #[test]
    fn only_reading_queries_of_the_wanted_shape_pass() {
        type Checked = Result<(), Error>;
        let cases: &[(&str, Checked, Checked)] = &[
            ("SELECT COUNT(e) FROM EHR e", Ok(()), Ok(())),
            ("SELECT COUNT(e) AS n FROM EHR e", Ok(()), Ok(())),
            ("select count(e) from EHR e", Ok(()), Err(Error::NotCounting)),
            ("SELECT COUNT(e), e/ehr_id/value FROM EHR e", Ok(()), Err(Error::NotCounting)),
            ("SELECT e/ehr_id/value FROM EHR e", Ok(()), Err(Error::NotCounting)),
            ("SELECT COUNT(e) FROM EHR e; DROP TABLE ehr", Err(Error::Syntax(26)), Err(Error::Syntax(26))),
            ("SELECT COUNT(e) FROM EHR e -- x", Err(Error::Syntax(27)), Err(Error::Syntax(27))),
            ("DELETE FROM EHR e", Err(Error::NotReading), Err(Error::NotReading)),
            ("SELECT COUNT(e) INTO x FROM EHR e", Err(Error::NotReading), Err(Error::NotReading)),
            ("SELECT c/context/delete FROM EHR e", Ok(()), Err(Error::NotCounting)),
            ("SELECT COUNT(e) FROM EHR e WHERE e/x = 'DELETE; --'", Ok(()), Ok(())),
            ("SELECT COUNT(e) FROM EHR e WHERE e/x = 'open", Err(Error::Syntax(39)), Err(Error::Syntax(39))),
            ("SELECT COUNT(e) FROM EHR e WHERE (e/x = 1", Err(Error::Syntax(41)), Err(Error::Syntax(41))),
            ("", Err(Error::NotReading), Err(Error::NotReading)),
        ];
        for (query, reads, counts) in cases {
            assert_eq!(check(query), *reads, "{query}");
            assert_eq!(check_count(query, true), *counts, "{query}");
        }
    }

    #[test]
    fn counts_become_selections_of_ids() {
        let literal = |query| count_to_ids(query, PATH, Rewrite::Literal);
        let parsed = |query: &str| count_to_ids(query, PATH, Rewrite::Parsed);
        let ids = format!("SELECT e{PATH} as EHRID FROM EHR e CONTAINS COMPOSITION c");
        assert_eq!(literal("SELECT COUNT(e) FROM EHR e CONTAINS COMPOSITION c"), Ok(ids.clone()));
        assert_eq!(literal("SELECT COUNT(DISTINCT e) FROM EHR e"), Err(Error::NoRewrite));
        let ordered = |ids: &str| Ok(format!("{ids} ORDER BY e{PATH}"));
        assert_eq!(parsed("SELECT COUNT(e) FROM EHR e CONTAINS COMPOSITION c"), ordered(&ids));
        assert_eq!(parsed("SELECT COUNT(e/ehr_id/value) FROM EHR e CONTAINS COMPOSITION c "), ordered(&ids));
        let distinct = format!("SELECT DISTINCT x{PATH} as EHRID FROM EHR x ORDER BY x/a DESC");
        assert_eq!(parsed("SELECT COUNT(DISTINCT x) AS n FROM EHR x ORDER BY x/a DESC"), Ok(distinct));
        for other in ["e/ehr_status", "DISTINCT", "e, c", "*", "DISTINCT e/x"] {
            let query = format!("SELECT COUNT({other}) FROM EHR e");
            assert_eq!(parsed(&query), Err(Error::NoRewrite), "{other}");
            assert_eq!(count_by_id(&query).as_deref(), Ok(query.as_str()), "{other}");
        }
    }

    #[test]
    fn records_are_counted_by_their_id() {
        for (query, by_id) in [
            ("SELECT COUNT(e) FROM EHR e", "SELECT COUNT(e/ehr_id/value) FROM EHR e"),
            (
                "select count(DISTINCT x) AS n FROM EHR x WHERE a = 1",
                "SELECT COUNT(DISTINCT x/ehr_id/value) FROM EHR x WHERE a = 1",
            ),
            ("SELECT COUNT(e/ehr_id/value) FROM EHR e", "SELECT COUNT(e/ehr_id/value) FROM EHR e"),
            // Not the record: its parts have no such id.
            (
                "SELECT COUNT(c) FROM EHR e CONTAINS COMPOSITION c",
                "SELECT COUNT(c) FROM EHR e CONTAINS COMPOSITION c",
            ),
        ] {
            assert_eq!(count_by_id(query).as_deref(), Ok(by_id), "{query}");
        }
        assert_eq!(count_by_id("DELETE FROM EHR e"), Err(Error::NotReading));
    }

    #[test]
    fn what_a_query_selects_is_found_by_path_and_name() {
        for (query, is_selected) in [
            (format!("SELECT e{PATH} as EHRID FROM EHR e"), true),
            (
                format!("SELECT DISTINCT x{PATH} AS EHRID, c/name/value FROM EHR x CONTAINS COMPOSITION c"),
                true,
            ),
            (format!("SELECT c/name/value, e{PATH} AS EHRID FROM EHR e CONTAINS COMPOSITION c"), true),
            (format!("SELECT e{PATH} AS ID FROM EHR e"), false),
            (format!("SELECT e{PATH}, c/x AS EHRID FROM EHR e CONTAINS COMPOSITION c"), false),
            (
                "SELECT o/subject/external_ref/id/value AS EHRID FROM EHR e CONTAINS OBSERVATION o".into(),
                false,
            ),
            (format!("SELECT c/x AS x FROM EHR e WHERE e{PATH} AS EHRID"), false),
            ("no query".into(), false),
        ] {
            assert_eq!(selects(&query, PATH, "EHRID"), is_selected, "{query}");
        }
    }

    #[test]
    fn a_restriction_keeps_the_condition_whole() {
        let (query, names) = restrict("SELECT COUNT(e) FROM EHR e WHERE a = 1 OR b = 2 ORDER BY c", PATH, 2)
            .expect("can be restricted");
        assert_eq!(
            query,
            format!(
                "SELECT COUNT(e) FROM EHR e WHERE (a = 1 OR b = 2) AND e{PATH} matches {{$consented0, $consented1}} ORDER BY c"
            )
        );
        assert_eq!(names, ["consented0", "consented1"]);
        let (query, _) = restrict("SELECT COUNT(x) FROM EHR x CONTAINS COMPOSITION c", PATH, 1).expect("can");
        assert_eq!(
            query,
            format!(
                "SELECT COUNT(x) FROM EHR x CONTAINS COMPOSITION c WHERE x{PATH} matches {{$consented0}}"
            )
        );
        // A path is no clause: `offset` of an event.
        let (query, _) =
            restrict("SELECT COUNT(e) FROM EHR e WHERE o/offset/value = 'P1D'", PATH, 1).expect("can");
        let whole = "SELECT COUNT(e) FROM EHR e WHERE (o/offset/value = 'P1D') AND";
        assert_eq!(query, format!("{whole} e{PATH} matches {{$consented0}}"));
        assert_eq!(restrict("SELECT COUNT(e) FROM EHR e", PATH, 0), Err(Error::NoRewrite));
    }
}
