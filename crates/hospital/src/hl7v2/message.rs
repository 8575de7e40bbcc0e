//! A message as segments, fields, repetitions, components and subcomponents (contract 1.3).
use super::Charset;
use crate::failure::Reason;

/// Largest message, in bytes.
pub const MAX_MESSAGE: usize = 1024 * 1024;
/// Most segments of a message.
pub const MAX_SEGMENTS: usize = 2000;
/// Largest field, in bytes.
pub const MAX_FIELD: usize = 64 * 1024;

/// How a message is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Character set; what the message declares where `Auto`.
    pub charset: Charset,
    /// Also take LF and CRLF as ends of segments, and a last segment without end.
    pub lenient: bool,
}

#[derive(Debug, Clone, Copy)]
struct Separators {
    field: char,
    component: char,
    repetition: char,
    escape: Option<char>,
    subcomponent: Option<char>,
}

/// A message.
#[derive(Clone)]
pub struct Message {
    separators: Separators,
    charset: Charset,
    segments: Vec<String>,
    /// The character set was not declared and the bytes are not UTF-8: ISO 8859-1 was assumed.
    pub charset_assumed: bool,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message").field("segments", &self.segments.len()).finish_non_exhaustive()
    }
}

impl Message {
    /// Reads a message.
    ///
    /// # Errors
    /// [`Reason::SegmentTerminator`], [`Reason::Charset`], [`Reason::TooLarge`] or
    /// [`Reason::Malformed`].
    pub fn read(bytes: &[u8], options: Options) -> Result<Self, Reason> {
        if bytes.len() > MAX_MESSAGE {
            return Err(Reason::TooLarge("HL7 message"));
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        if !bytes.starts_with(b"MSH") {
            return Err(Reason::Malformed("MSH segment"));
        }
        // MSH is ASCII in all the character sets we take, so the set can be read before decoding.
        let field = bytes.get(3).copied().filter(|byte| byte.is_ascii_punctuation());
        let field = field.ok_or(Reason::Malformed("field separator"))?;
        let end = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(bytes.len());
        let header = &bytes[..end];
        let declared = header.split(|byte| *byte == field).nth(17).unwrap_or_default();
        let repetition = header.get(5).copied().unwrap_or(b'~');
        let declared = declared.split(|byte| *byte == repetition).next().unwrap_or_default();
        let declared = String::from_utf8_lossy(declared).into_owned();
        let (text, charset, charset_assumed) = options.charset.resolve(&declared)?.decode(bytes)?;
        let separators = separators(&text)?;
        let segments = segments(&text, options.lenient)?;
        let too_large = |segment: &&str| segment.split(separators.field).any(|field| field.len() > MAX_FIELD);
        if segments.len() > MAX_SEGMENTS || segments.iter().any(too_large) {
            return Err(Reason::TooLarge("HL7 segments"));
        }
        let segments = segments.into_iter().map(str::to_owned).collect();
        Ok(Self { separators, charset, segments, charset_assumed })
    }

    /// All segments in order.
    pub fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        self.segments.iter().map(|text| Segment { text, message: self })
    }

    /// Segments of one name.
    pub fn each<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Segment<'a>> + 'a {
        self.segments().filter(move |segment| segment.name() == name)
    }

    /// First segment of one name.
    pub fn first(&self, name: &str) -> Option<Segment<'_>> {
        self.segments().find(|segment| segment.name() == name)
    }

    /// A field of the first segment of one name; empty where there is none.
    pub fn field(&self, segment: &str, number: usize) -> Value<'_> {
        match self.first(segment) {
            Some(segment) => segment.field(number),
            None => Value { raw: "", message: self },
        }
    }
}

fn separators(text: &str) -> Result<Separators, Reason> {
    let mut characters = text.chars().skip(3);
    let field = characters.next().ok_or(Reason::Malformed("field separator"))?;
    let encoding: Vec<char> = characters.take_while(|character| *character != field).collect();
    let allowed = |character: &char| character.is_ascii_punctuation();
    if encoding.len() < 2 || encoding.len() > 5 || !encoding.iter().all(allowed) {
        return Err(Reason::Malformed("encoding characters"));
    }
    let mut all = encoding.clone();
    all.push(field);
    all.sort_unstable();
    all.dedup();
    if all.len() != encoding.len() + 1 {
        return Err(Reason::Malformed("encoding characters"));
    }
    Ok(Separators {
        field,
        component: encoding[0],
        repetition: encoding[1],
        escape: encoding.get(2).copied(),
        subcomponent: encoding.get(3).copied(),
    })
}

fn segments(text: &str, lenient: bool) -> Result<Vec<&str>, Reason> {
    if !lenient && (text.contains('\n') || !text.ends_with('\r')) {
        return Err(Reason::SegmentTerminator);
    }
    let segments: Vec<&str> = if lenient {
        text.split(['\r', '\n']).filter(|segment| !segment.is_empty()).collect()
    } else {
        text.strip_suffix('\r').unwrap_or(text).split('\r').collect()
    };
    let named = |segment: &&str| {
        let name = segment.as_bytes().get(..3);
        name.is_some_and(|name| name.iter().all(u8::is_ascii_alphanumeric))
    };
    if segments.iter().all(named) { Ok(segments) } else { Err(Reason::Malformed("segment name")) }
}

/// One segment.
#[derive(Clone, Copy)]
pub struct Segment<'a> {
    text: &'a str,
    message: &'a Message,
}

impl<'a> Segment<'a> {
    /// Its name.
    pub fn name(&self) -> &'a str {
        // Names are three ASCII characters, checked on reading.
        self.text.get(..3).unwrap_or_default()
    }

    /// A field, counted from 1; empty where there is none. In MSH the separator itself is field 1.
    pub fn field(&self, number: usize) -> Value<'a> {
        let separator = self.message.separators.field;
        let at = if self.name() == "MSH" { number.saturating_sub(1) } else { number };
        let raw = if self.name() == "MSH" && number == 1 {
            self.text.get(3..4).unwrap_or_default()
        } else {
            self.text.split(separator).nth(at).unwrap_or_default()
        };
        Value { raw, message: self.message }
    }
}

/// A field or a part of one.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    raw: &'a str,
    message: &'a Message,
}

impl<'a> Value<'a> {
    /// The text as it stands in the message, escapes included.
    pub fn raw(&self) -> &'a str {
        self.raw
    }

    /// Nothing is there. HL7 null (`""`) is something, see [`Value::is_null`].
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// HL7 null: the value was deleted.
    pub fn is_null(&self) -> bool {
        self.raw == "\"\""
    }

    /// The repetitions; none of an empty field.
    pub fn repetitions(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let (raw, message) = (self.raw, self.message);
        let split = raw.split(message.separators.repetition).filter(move |_| !raw.is_empty());
        split.map(move |raw| Value { raw, message })
    }

    /// The first repetition.
    pub fn first(&self) -> Value<'a> {
        self.repetitions().next().unwrap_or(Value { raw: "", message: self.message })
    }

    /// A component, counted from 1.
    pub fn component(&self, number: usize) -> Value<'a> {
        let mut parts = self.raw.split(self.message.separators.component);
        Value { raw: parts.nth(number.saturating_sub(1)).unwrap_or_default(), message: self.message }
    }

    /// A subcomponent, counted from 1.
    pub fn subcomponent(&self, number: usize) -> Value<'a> {
        let at = number.saturating_sub(1);
        let raw = match self.message.separators.subcomponent {
            Some(separator) => self.raw.split(separator).nth(at).unwrap_or_default(),
            None if at == 0 => self.raw,
            None => "",
        };
        Value { raw, message: self.message }
    }

    /// The text with escapes resolved; absent for empty and for HL7 null.
    pub fn text(&self) -> Option<String> {
        if self.raw.is_empty() || self.is_null() {
            return None;
        }
        let text = self.unescape();
        if text.is_empty() { None } else { Some(text) }
    }

    fn unescape(&self) -> String {
        let separators = &self.message.separators;
        let Some(escape) = separators.escape else { return self.raw.to_owned() };
        let mut out = String::with_capacity(self.raw.len());
        let mut rest = self.raw;
        while let Some(start) = rest.find(escape) {
            out.push_str(&rest[..start]);
            let inside = &rest[start + escape.len_utf8()..];
            let Some(end) = inside.find(escape) else {
                out.push_str(&rest[start..]);
                return out;
            };
            let sequence = &inside[..end];
            match self.sequence(sequence) {
                Some(text) => out.push_str(&text),
                // What we do not know stays as it stands.
                None => {
                    out.push(escape);
                    out.push_str(sequence);
                    out.push(escape);
                }
            }
            rest = &inside[end + escape.len_utf8()..];
        }
        out.push_str(rest);
        out
    }

    fn sequence(&self, sequence: &str) -> Option<String> {
        let separators = &self.message.separators;
        match sequence {
            "F" => Some(separators.field.to_string()),
            "S" => Some(separators.component.to_string()),
            "R" => Some(separators.repetition.to_string()),
            "T" => separators.subcomponent.map(String::from),
            "E" => separators.escape.map(String::from),
            ".br" => Some("\n".to_owned()),
            "H" | "N" => Some(String::new()),
            _ => {
                let hex = sequence.strip_prefix('X').filter(|hex| !hex.is_empty() && hex.len() % 2 == 0)?;
                let digits = hex.as_bytes().chunks(2);
                let bytes: Option<Vec<u8>> = digits
                    .map(|pair| {
                        let pair = std::str::from_utf8(pair).ok()?;
                        u8::from_str_radix(pair, 16).ok().filter(|_| !pair.starts_with('+'))
                    })
                    .collect();
                self.message.charset.decode(&bytes?).ok().map(|(text, _, _)| text)
            }
        }
    }
}

/// Escapes a value for a message with the usual separators.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '|' => out.push_str("\\F\\"),
            '^' => out.push_str("\\S\\"),
            '&' => out.push_str("\\T\\"),
            '~' => out.push_str("\\R\\"),
            '\\' => out.push_str("\\E\\"),
            '\r' => out.push_str("\\X0D\\"),
            '\n' => out.push_str("\\X0A\\"),
            // Framing bytes must never stand in a payload.
            '\u{0b}' | '\u{1c}' => out.push_str(&format!("\\X{:02X}\\", u32::from(character))),
            other => out.push(other),
        }
    }
    out
}
