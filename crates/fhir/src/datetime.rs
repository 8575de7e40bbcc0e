//! datetime.
