//! From tokens to an expression tree. Everything unsupported is refused here.

use std::borrow::Cow;

use regex::Regex;

use super::ExpressionError;
use super::functions::Function;
use super::lex::{Token, tokens};

/// Deepest nesting of an expression.
const MAX_DEPTH: usize = 64;
/// Longest expression, in bytes; the longest of R4 has about 600.
const MAX_LENGTH: usize = 16 * 1024;
/// Largest compiled regular expression, in bytes.
const MAX_REGEX: usize = 1024 * 1024;

#[derive(Debug)]
pub(super) enum Expr {
    Empty,
    Text(String),
    Number(String),
    Boolean(bool),
    This,
    Resource,
    RootResource,
    Focus,
    /// A member of the items of an expression, or of the focus.
    Member(Option<Box<Expr>>, Step),
    Index(Box<Expr>, usize),
    Call(Option<Box<Expr>>, Function, Vec<Expr>),
    Matches(Option<Box<Expr>>, Regex),
    Replace(Option<Box<Expr>>, Regex, String),
    Is(Option<Box<Expr>>, String),
    As(Option<Box<Expr>>, String),
    Binary(Operator, Box<Expr>, Box<Expr>),
}

/// A name in a path.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) name: String,
    /// Whether some type has a choice element of this name, so that `value` may mean `valueString`.
    pub(super) choice: bool,
    /// Whether the name may stand for the resource itself (`Task.status`).
    pub(super) type_name: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Implies,
    Or,
    Xor,
    And,
    In,
    Contains,
    Equal,
    Unequal,
    Equivalent,
    NotEquivalent,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Union,
    Concatenate,
    Add,
    Subtract,
}

pub(super) fn expression(text: &str) -> Result<Expr, ExpressionError> {
    if text.len() > MAX_LENGTH {
        return Err(ExpressionError { reason: "too long an expression".to_owned(), at: MAX_LENGTH });
    }
    let mut parser = Parser { tokens: tokens(text)?, next: 0, end: text.len(), depth: 0 };
    let root = parser.binary(0)?;
    match parser.peek() {
        None => Ok(root),
        Some(_) => Err(parser.error("something behind the end")),
    }
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    next: usize,
    end: usize,
    depth: usize,
}

/// Operators from the weakest to the strongest.
const LEVELS: [&[(&str, Operator)]; 8] = [
    &[("implies", Operator::Implies)],
    &[("or", Operator::Or), ("xor", Operator::Xor)],
    &[("and", Operator::And)],
    &[("in", Operator::In), ("contains", Operator::Contains)],
    &[
        ("=", Operator::Equal),
        ("!=", Operator::Unequal),
        ("~", Operator::Equivalent),
        ("!~", Operator::NotEquivalent),
    ],
    &[
        ("<=", Operator::LessOrEqual),
        (">=", Operator::GreaterOrEqual),
        ("<", Operator::Less),
        (">", Operator::Greater),
    ],
    &[("|", Operator::Union)],
    &[("+", Operator::Add), ("-", Operator::Subtract), ("&", Operator::Concatenate)],
];

/// The level above which `is` and `as` bind.
const TYPE_LEVEL: usize = 7;

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|(_, token)| token)
    }

    fn error(&self, reason: &str) -> ExpressionError {
        let at = self.tokens.get(self.next).map_or(self.end, |(at, _)| *at);
        ExpressionError { reason: reason.to_owned(), at }
    }

    fn take(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Symbol(other)) if *other == symbol);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: &str) -> Result<(), ExpressionError> {
        if self.take(symbol) { Ok(()) } else { Err(self.error(&format!("{symbol} expected"))) }
    }

    fn binary(&mut self, level: usize) -> Result<Expr, ExpressionError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH * LEVELS.len() {
            return Err(self.error("too deep an expression"));
        }
        let result = self.binary_at(level);
        self.depth -= 1;
        result
    }

    fn binary_at(&mut self, level: usize) -> Result<Expr, ExpressionError> {
        let Some(operators) = LEVELS.get(level) else { return self.path() };
        let mut left = self.binary(level + 1)?;
        if level == TYPE_LEVEL {
            left = self.type_operators(left)?;
        }
        let mut chained = 0;
        while let Some(operator) = self.operator(operators) {
            chained += 1;
            if chained > MAX_DEPTH {
                return Err(self.error("too long a chain of operators"));
            }
            self.next += 1;
            let mut right = self.binary(level + 1)?;
            if level == TYPE_LEVEL {
                right = self.type_operators(right)?;
            }
            left = Expr::Binary(operator, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn operator(&self, operators: &[(&str, Operator)]) -> Option<Operator> {
        let text: &str = match self.peek()? {
            Token::Symbol(symbol) => symbol,
            Token::Name(name) => name,
            _ => return None,
        };
        operators.iter().find(|(name, _)| *name == text).map(|(_, operator)| *operator)
    }

    fn type_operators(&mut self, left: Expr) -> Result<Expr, ExpressionError> {
        match self.peek() {
            Some(Token::Name(name)) if name == "is" => {
                self.next += 1;
                Ok(Expr::Is(Some(Box::new(left)), self.type_name()?))
            }
            Some(Token::Name(name)) if name == "as" => {
                self.next += 1;
                Ok(Expr::As(Some(Box::new(left)), self.type_name()?))
            }
            _ => Ok(left),
        }
    }

    fn type_name(&mut self) -> Result<String, ExpressionError> {
        let mut name = self.name()?;
        while self.take(".") {
            name = self.name()?;
        }
        Ok(name)
    }

    fn name(&mut self) -> Result<String, ExpressionError> {
        match self.peek() {
            Some(Token::Name(name)) => {
                let name = name.clone();
                self.next += 1;
                Ok(name)
            }
            _ => Err(self.error("a name expected")),
        }
    }

    fn path(&mut self) -> Result<Expr, ExpressionError> {
        let mut expression = self.term()?;
        loop {
            if self.take(".") {
                expression = self.invocation(Some(Box::new(expression)))?;
            } else if self.take("[") {
                let index = match self.peek() {
                    Some(Token::Number(text)) => text.parse().map_err(|_| self.error("an index expected"))?,
                    _ => return Err(self.error("an index expected")),
                };
                self.next += 1;
                self.expect("]")?;
                expression = Expr::Index(Box::new(expression), index);
            } else {
                return Ok(expression);
            }
        }
    }

    fn term(&mut self) -> Result<Expr, ExpressionError> {
        let Some(token) = self.peek().cloned() else { return Err(self.error("an expression expected")) };
        let simple = match token {
            Token::Text(text) => Expr::Text(text),
            Token::Number(text) => Expr::Number(text),
            Token::Variable(name) => match name.as_str() {
                "resource" => Expr::Resource,
                "rootResource" => Expr::RootResource,
                "context" => Expr::Focus,
                "ucum" => Expr::Text("http://unitsofmeasure.org".to_owned()),
                "sct" => Expr::Text("http://snomed.info/sct".to_owned()),
                "loinc" => Expr::Text("http://loinc.org".to_owned()),
                _ => return Err(self.error("an unknown variable")),
            },
            Token::Special(name) if name == "this" => Expr::This,
            Token::Special(_) => return Err(self.error("an unsupported variable")),
            Token::Name(name) if name == "true" || name == "false" => Expr::Boolean(name == "true"),
            Token::Name(_) => return self.invocation(None),
            Token::Symbol("(") => {
                self.next += 1;
                let inner = self.binary(0)?;
                self.expect(")")?;
                return Ok(inner);
            }
            Token::Symbol("{") => {
                self.next += 1;
                self.expect("}")?;
                return Ok(Expr::Empty);
            }
            Token::Symbol(_) => return Err(self.error("an expression expected")),
        };
        self.next += 1;
        Ok(simple)
    }

    fn invocation(&mut self, of: Option<Box<Expr>>) -> Result<Expr, ExpressionError> {
        if let Some(Token::Special(name)) = self.peek()
            && name == "this"
        {
            self.next += 1;
            return of.map_or(Ok(Expr::This), |of| Ok(*of));
        }
        let name = self.name()?;
        if !self.take("(") {
            return Ok(Expr::Member(of, Step::new(name)));
        }
        if matches!(name.as_str(), "is" | "as" | "ofType") {
            let kind = self.type_name()?;
            self.expect(")")?;
            return Ok(if name == "is" { Expr::Is(of, kind) } else { Expr::As(of, kind) });
        }
        let mut arguments = Vec::new();
        if !self.take(")") {
            loop {
                arguments.push(self.binary(0)?);
                if self.take(")") {
                    break;
                }
                self.expect(",")?;
            }
        }
        match (name.as_str(), arguments.as_slice()) {
            ("matches", [Expr::Text(pattern)]) => Ok(Expr::Matches(of, self.regex(pattern)?)),
            ("matchesFull", [Expr::Text(pattern)]) => {
                Ok(Expr::Matches(of, self.regex(&format!("^(?:{pattern})$"))?))
            }
            ("replaceMatches", [Expr::Text(pattern), Expr::Text(by)]) => {
                Ok(Expr::Replace(of, self.regex(pattern)?, by.clone()))
            }
            _ => match Function::find(&name, arguments.len()) {
                Some(function) => Ok(Expr::Call(of, function, arguments)),
                None => Err(self.error(&format!("the unsupported function {name}"))),
            },
        }
    }

    fn regex(&self, pattern: &str) -> Result<Regex, ExpressionError> {
        // As the public implementation compiles it: the dot also matches line ends.
        regex::RegexBuilder::new(&portable(pattern))
            .dot_matches_new_line(true)
            .size_limit(MAX_REGEX)
            .build()
            .map_err(|_| self.error("an unsupported regular expression"))
    }
}

/// A pattern in the dialect of the public implementation, written for the compiler here. Brackets inside
/// of a class are literal there; digits, letters of words and white space are those of ASCII.
fn portable(pattern: &str) -> Cow<'_, str> {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut class = false;
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                // Escapes of harmless characters are refused by the compiler.
                match characters.next() {
                    Some(
                        next @ ('\'' | '"' | ',' | ';' | ':' | '!' | '@' | '%' | '=' | '<' | '>' | '/' | '_'
                        | '`'),
                    ) => {
                        out.push(next);
                    }
                    Some('d') => out.push_str("[0-9]"),
                    Some('D') => out.push_str("[^0-9]"),
                    Some('w') => out.push_str("[0-9A-Za-z_]"),
                    Some('W') => out.push_str("[^0-9A-Za-z_]"),
                    Some('s') => out.push_str(r"[ \t\n\x0B\x0C\r]"),
                    Some('S') => out.push_str(r"[^ \t\n\x0B\x0C\r]"),
                    Some('b') if !class => out.push_str(r"(?-u:\b)"),
                    Some(next) => out.extend(['\\', next]),
                    None => out.push('\\'),
                }
                continue;
            }
            '[' if class => out.push('\\'),
            '[' => {
                class = true;
                out.push('[');
                if characters.peek() == Some(&'^') {
                    characters.next();
                    out.push('^');
                }
                continue;
            }
            ']' => class = false,
            // Set operations of the other dialect's classes do not exist here.
            '&' | '~' | '-' if class && characters.peek() == Some(&character) => out.push('\\'),
            _ => {}
        }
        out.push(character);
    }
    Cow::Owned(out)
}

impl Step {
    fn new(name: String) -> Step {
        let choice = crate::types::is_choice(&name);
        let type_name = name.starts_with(|first: char| first.is_ascii_uppercase());
        Step { name, choice, type_name }
    }
}
