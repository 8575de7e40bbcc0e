//! FHIRPath, as far as invariants of R4, of the framework and of process plugins need it.
//!
//! An expression is compiled once ([`Expression::compile`]); what is not supported is an error then,
//! never a surprise during a validation. Evaluating reads the element tree, allocates little and
//! counts its steps, so that no expression runs away on a large resource.

mod evaluate;
mod functions;
mod item;
mod lex;
mod parse;

pub(crate) use evaluate::{Budget, Context};
pub(crate) use item::{element_type, type_suffix};

use crate::element::Element;
use item::Item;

/// A compiled expression.
#[derive(Debug)]
pub(crate) struct Expression {
    root: parse::Expr,
}

/// Why an expression cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at character {at}")]
pub struct ExpressionError {
    /// What is not supported or not well-formed.
    pub reason: String,
    /// Where, counted in bytes.
    pub at: usize,
}

/// What an invariant says about an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The result is true.
    Holds,
    /// The result is false or nothing.
    Fails,
    /// Too many steps: nothing is known.
    TooLong,
}

impl Expression {
    /// Compiles an expression.
    pub(crate) fn compile(text: &str) -> Result<Expression, ExpressionError> {
        Ok(Expression { root: parse::expression(text)? })
    }

    /// Evaluates the expression as an invariant of `element`, whose type is `code` where it is known.
    pub(crate) fn check<'a>(
        &self,
        element: &'a Element,
        code: Option<&'static str>,
        context: &Context<'a>,
        budget: &mut Budget,
    ) -> Verdict {
        let focus = [Item::Node(element, code)];
        match evaluate::truth(&self.root, &focus, context, budget) {
            Err(evaluate::OutOfSteps) => Verdict::TooLong,
            Ok(Some(true)) => Verdict::Holds,
            Ok(_) => Verdict::Fails,
        }
    }
}

#[cfg(test)]
mod tests;
