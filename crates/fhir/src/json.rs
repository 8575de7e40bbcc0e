//! JSON codec.
use crate::{Element, Limits, ParseError, Resource};
const NOT_YET: ParseError = ParseError::Encoding;
pub(crate) fn read_resource(_bytes: &[u8], _limits: &Limits) -> Result<Resource, ParseError> { Err(NOT_YET) }
pub(crate) fn read_fragment(_json: &[u8], _type_path: &str, _limits: &Limits) -> Result<Element, ParseError> { Err(NOT_YET) }
pub(crate) fn write_resource(_resource: &Resource) -> Vec<u8> { Vec::new() }
pub(crate) fn write_fragment(_element: &Element, _type_path: &str) -> Vec<u8> { Vec::new() }
