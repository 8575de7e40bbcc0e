//! Search parameters of the resource types as data, value extraction and query parsing.
