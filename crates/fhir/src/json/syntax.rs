//! JSON syntax (RFC 8259) with numbers kept as text.
//!
//! Stricter than many readers where leniency hides attacks: duplicate members, anything after the
//! document, a byte order mark and unpaired surrogates are refused.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::error::ParseError;

/// Objects with more members than this are checked for duplicates by hashing.
const PAIRWISE_MEMBERS: usize = 24;

/// A JSON value that borrows from its text.
#[derive(Debug)]
pub enum Value<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// The number as written.
    Number(&'a str),
    /// The text, escapes resolved.
    String(Cow<'a, str>),
    /// The items.
    Array(Vec<Value<'a>>),
    /// The members in order; names differ.
    Object(Vec<(Cow<'a, str>, Value<'a>)>),
}

/// Reads a whole document of at most `max_depth` nested arrays and objects and `max_values` values.
///
/// # Errors
/// See [`ParseError`].
pub fn document(text: &str, max_depth: usize, max_values: usize) -> Result<Value<'_>, ParseError> {
    let mut reader =
        Reader { text, bytes: text.as_bytes(), at: 0, depth: 0, max_depth, values: 0, max_values };
    reader.blanks();
    let value = reader.value()?;
    reader.blanks();
    if reader.at < reader.bytes.len() {
        return Err(reader.error("text after the document"));
    }
    Ok(value)
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    depth: usize,
    max_depth: usize,
    values: usize,
    max_values: usize,
}

impl<'a> Reader<'a> {
    fn error(&self, reason: &'static str) -> ParseError {
        ParseError::Syntax { offset: self.at, reason }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn value(&mut self) -> Result<Value<'a>, ParseError> {
        self.values += 1;
        if self.values > self.max_values {
            return Err(ParseError::LimitExceeded { what: "elements", allowed: self.max_values });
        }
        match self.peek() {
            Some(b'"') => self.string().map(Value::String),
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Boolean(true)),
            Some(b'f') => self.word("false", Value::Boolean(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => Err(self.error("a value expected")),
        }
    }

    fn nested(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<Value<'a>, ParseError>,
    ) -> Result<Value<'a>, ParseError> {
        if self.depth >= self.max_depth {
            return Err(ParseError::LimitExceeded { what: "levels", allowed: self.max_depth });
        }
        self.depth += 1;
        self.at += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn object(&mut self) -> Result<Value<'a>, ParseError> {
        let mut members: Vec<(Cow<'a, str>, Value<'a>)> = Vec::new();
        let start = self.at;
        self.blanks();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(members));
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.error("a member name expected"));
            }
            let offset = self.at;
            let name = self.string()?;
            if members.len() < PAIRWISE_MEMBERS && members.iter().any(|(other, _)| *other == name) {
                return Err(ParseError::DuplicateMember { offset });
            }
            self.blanks();
            self.expect(b':', "':' expected")?;
            self.blanks();
            let value = self.value()?;
            members.push((name, value));
            self.blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return Err(self.error("',' or '}' expected")),
            }
            self.blanks();
        }
        self.at += 1;
        if members.len() > PAIRWISE_MEMBERS {
            let mut names = HashSet::with_capacity(members.len());
            if !members.iter().all(|(name, _)| names.insert(&**name)) {
                return Err(ParseError::DuplicateMember { offset: start });
            }
        }
        Ok(Value::Object(members))
    }

    fn array(&mut self) -> Result<Value<'a>, ParseError> {
        let mut items = Vec::new();
        self.blanks();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value()?);
            self.blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err(self.error("',' or ']' expected")),
            }
            self.blanks();
        }
        self.at += 1;
        Ok(Value::Array(items))
    }

    fn expect(&mut self, byte: u8, reason: &'static str) -> Result<(), ParseError> {
        if self.peek() != Some(byte) {
            return Err(self.error(reason));
        }
        self.at += 1;
        Ok(())
    }

    fn word(&mut self, word: &'static str, value: Value<'a>) -> Result<Value<'a>, ParseError> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.error("a value expected"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn number(&mut self) -> Result<Value<'a>, ParseError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Value::Number(&self.text[start..self.at]))
    }

    fn digits(&mut self) -> Result<(), ParseError> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(self.error("a digit expected")) } else { Ok(()) }
    }

    /// Reads a string from its opening quote to behind its closing one.
    fn string(&mut self) -> Result<Cow<'a, str>, ParseError> {
        self.at += 1;
        let start = self.at;
        self.plain();
        if self.peek() == Some(b'"') {
            self.at += 1;
            return Ok(Cow::Borrowed(&self.text[start..self.at - 1]));
        }
        let mut out = String::from(&self.text[start..self.at]);
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(out));
                }
                Some(b'\\') => {
                    self.at += 1;
                    out.push(self.escape()?);
                }
                Some(_) => return Err(self.error("a control character in a string")),
                None => return Err(self.error("an unfinished string")),
            }
            let start = self.at;
            self.plain();
            out.push_str(&self.text[start..self.at]);
        }
    }

    /// Skips what stands for itself in a string.
    fn plain(&mut self) {
        let rest = &self.bytes[self.at..];
        self.at += rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).unwrap_or(rest.len());
    }

    fn escape(&mut self) -> Result<char, ParseError> {
        let character = match self.peek() {
            Some(character @ (b'"' | b'\\' | b'/')) => char::from(character),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode();
            }
            _ => return Err(self.error("an unknown escape")),
        };
        self.at += 1;
        Ok(character)
    }

    fn unicode(&mut self) -> Result<char, ParseError> {
        let first = self.hex()?;
        if let Some(character) = char::from_u32(first) {
            return Ok(character);
        }
        let second = if self.bytes[self.at..].starts_with(b"\\u") {
            self.at += 2;
            self.hex()?
        } else {
            0
        };
        if (0xd800..0xdc00).contains(&first) && (0xdc00..0xe000).contains(&second) {
            let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            if let Some(character) = char::from_u32(code) {
                return Ok(character);
            }
        }
        Err(self.error("an unpaired surrogate"))
    }

    fn hex(&mut self) -> Result<u32, ParseError> {
        let mut number = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            number = number * 16 + digit.ok_or_else(|| self.error("four hexadecimal digits expected"))?;
            self.at += 1;
        }
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_and_refused() {
        for (text, accepted) in [
            ("{}", true),
            (" {\"a\" : [1, -0.5e+3, true, null, \"\\ud83d\\ude00\\n\"]} \n", true),
            ("", false),
            ("{\"a\":1,\"a\":2}", false),
            ("{\"a\":1,}", false),
            ("[1,]", false),
            ("[01]", false),
            ("[1.]", false),
            ("{} {}", false),
            ("\u{feff}{}", false),
            ("[\"\\ud83d\"]", false),
            ("[\"\\ude00\"]", false),
            ("[\"\u{1}\"]", false),
            ("[\"abc", false),
            ("[tru]", false),
            ("[[[[]]]]", false),
        ] {
            assert_eq!(document(text, 3, 10).is_ok(), accepted, "{text}");
        }
        let many: String = (0..40).map(|i| format!("\"m{}\":0,", i % 39)).collect();
        let text = format!("{{{}}}", many.trim_end_matches(','));
        assert!(matches!(document(&text, 3, 100), Err(ParseError::DuplicateMember { .. })));
    }
}
