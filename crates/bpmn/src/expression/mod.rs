//! The expression language of the models: a subset of the Unified Expression Language (contract 7.2).
//!
//! A text is a [`Template`]: literal pieces and `${…}` or `#{…}` expressions. One expression that is
//! the whole text keeps its type; otherwise the pieces are joined to a string.
mod evaluate;
mod parse;

#[cfg(test)]
mod tests;

pub(crate) use evaluate::{Environment, EvaluationError};

use crate::value::Value;

/// Longest text that is parsed, in bytes.
pub(crate) const MAX_TEXT: usize = 64 * 1024;
/// Most operators, operands and calls in one expression; bounds the depth of recursion, too.
pub(crate) const MAX_NODES: usize = 400;
/// Deepest nesting of parentheses, indexes, arguments and prefix operators.
pub(crate) const MAX_DEPTH: usize = 40;

/// Parsed text with expressions.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Template {
    text: String,
    parts: Vec<Part>,
}

/// A condition is a template that has to give a boolean.
pub(crate) type Expression = Template;

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Literal(String),
    Expression(Node),
}

/// A text that is not in the language.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expression cannot be read at character {at}: {message}")]
pub(crate) struct SyntaxError {
    /// Byte position in the text.
    pub at: usize,
    pub message: String,
}

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Literal(Value),
    Name(String),
    Member(Box<Node>, Box<Node>),
    /// Method on a value; functions have no base.
    Call(Option<Box<Node>>, String, Vec<Node>),
    Not(Box<Node>),
    Minus(Box<Node>),
    Empty(Box<Node>),
    Binary(Operator, Box<Node>, Box<Node>),
    If(Box<Node>, Box<Node>, Box<Node>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    Greater,
    LessEqual,
    GreaterEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

impl Template {
    /// Parses a text.
    pub(crate) fn parse(text: &str) -> Result<Template, SyntaxError> {
        Ok(Template { text: text.to_owned(), parts: parse::template(text)? })
    }

    /// A text without expressions.
    pub(crate) fn literal(text: &str) -> Template {
        Template { text: text.to_owned(), parts: vec![Part::Literal(text.to_owned())] }
    }

    /// The text as written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// True where the text holds no expression.
    pub(crate) fn is_literal(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Literal(_)))
    }

    /// The value: typed where the whole text is one expression, else a string.
    pub(crate) fn evaluate(&self, environment: &dyn Environment) -> Result<Value, EvaluationError> {
        if let [Part::Expression(node)] = self.parts.as_slice() {
            return Ok(evaluate::node(node, environment)?.into_value());
        }
        self.evaluate_text(environment).map(Value::String)
    }

    /// The value as a string.
    pub(crate) fn evaluate_text(&self, environment: &dyn Environment) -> Result<String, EvaluationError> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Expression(node) => text.push_str(&evaluate::node(node, environment)?.to_text()?),
            }
        }
        Ok(text)
    }

    /// The value as a condition: nothing but a boolean counts.
    pub(crate) fn condition(&self, environment: &dyn Environment) -> Result<bool, EvaluationError> {
        match self.evaluate(environment)? {
            Value::Boolean(value) => Ok(value),
            other => Err(EvaluationError::NoCondition(other.kind())),
        }
    }
}
