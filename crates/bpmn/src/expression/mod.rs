//! stub
/// e
#[derive(Debug)]
pub(crate) struct Expression;
#[derive(Debug)]
pub(crate) struct Template;
impl Template {
    pub(crate) fn text(&self) -> &str {
        ""
    }
}
