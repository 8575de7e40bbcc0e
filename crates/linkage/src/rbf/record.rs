//! The filter of one record out of the filters of its fields (record-linkage.md 3).

use crate::bits::Bits;
use crate::java_random::JavaRandom;

/// Longest record filter, and most sampled bits. The wire profile has 3000; the bound keeps a wrong
/// weight from asking for gigabytes.
pub const MAX_RECORD_BITS: usize = 1 << 20;

/// One field of a record: its filter and its weight.
#[derive(Debug, Clone)]
pub struct Field {
    /// The field's filter, as long as its sampling length.
    pub filter: Bits,
    /// Share of the record filter, 0 to 1.
    pub weight: f64,
}

/// Parameters that give no record filter.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum RecordError {
    /// The weights are more than the whole.
    #[error("the weights of the fields sum up to {0}, more than 1")]
    WeightSum(f64),
    /// A weight that is no share.
    #[error("a weight of {0} is not between 0 and 1")]
    Weight(f64),
    /// A field filter without bits.
    #[error("a field filter has no bits")]
    EmptyField,
    /// More bits than [`MAX_RECORD_BITS`].
    #[error("the record filter would have more than {MAX_RECORD_BITS} bits: use larger weights")]
    TooLong,
}

/// Where every sampled bit of every field goes. Depends on parameters and seed only.
#[derive(Clone)]
pub(crate) struct Layout {
    /// Length of the record filter in bits.
    pub length: usize,
    /// For every sampled bit, in field order, its bit in the record filter.
    pub destinations: Vec<u32>,
    /// For every field its samples.
    pub runs: Vec<Run>,
}

/// The samples of one field.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    /// Where they start in `destinations`.
    pub offset: usize,
    /// How many there are.
    pub samples: usize,
    /// The length that sampling wraps at.
    pub sampling_length: usize,
}

impl Layout {
    /// Rules 1 to 4 for fields given as (sampling length, weight).
    pub fn new(fields: &[(usize, f64)], requested: i64, seed: i64) -> Result<Layout, RecordError> {
        if let Some((_, weight)) = fields.iter().find(|(_, weight)| !(0.0..=1.0).contains(weight)) {
            return Err(RecordError::Weight(*weight));
        }
        if fields.iter().any(|(sampling_length, _)| *sampling_length == 0) {
            return Err(RecordError::EmptyField);
        }
        let sum: f64 = fields.iter().map(|(_, weight)| weight).sum();
        if sum > 1.0 {
            return Err(RecordError::WeightSum(sum));
        }
        // Conversions saturate, so that the comparison with the bound is safe.
        let length = if requested > 0 {
            usize::try_from(requested).unwrap_or(usize::MAX)
        } else {
            fields.iter().map(|(length, weight)| (*length as f64 / weight) as usize).max().unwrap_or(0)
        };
        if length > MAX_RECORD_BITS {
            return Err(RecordError::TooLong);
        }
        let mut runs = Vec::new();
        let mut total = 0;
        for (sampling_length, weight) in fields {
            let samples = (length as f64 * weight + 0.5).floor() as usize;
            runs.push(Run { offset: total, samples, sampling_length: *sampling_length });
            total += samples;
        }
        if total > MAX_RECORD_BITS {
            return Err(RecordError::TooLong);
        }
        // The original shuffles bits; shuffling their numbers tells where each of them ends.
        let mut order: Vec<u32> = (0..total as u32).collect();
        JavaRandom::new(seed).shuffle(&mut order);
        let mut destinations = vec![0; total];
        for (destination, source) in (0_u32..).zip(&order) {
            destinations[*source as usize] = destination;
        }
        Ok(Layout { length, destinations, runs })
    }

    /// The record bits that a field bit is sampled to.
    pub fn destinations_of(&self, run: Run, bit: usize) -> impl Iterator<Item = usize> {
        (bit..run.samples)
            .step_by(run.sampling_length)
            .map(move |sample| self.destinations[run.offset + sample] as usize)
    }
}

/// The record filter of fields in their order. A `requested` length of 0 or less asks for the shortest
/// length that loses no bit of any field.
///
/// # Errors
/// When the weights give no filter, or one that is too long.
pub fn compose(fields: &[Field], requested: i64, seed: i64) -> Result<Bits, RecordError> {
    let shapes: Vec<_> = fields.iter().map(|field| (field.filter.length(), field.weight)).collect();
    let layout = Layout::new(&shapes, requested, seed)?;
    let mut record = Bits::new(layout.length);
    for (field, run) in fields.iter().zip(&layout.runs) {
        for bit in field.filter.ones() {
            layout.destinations_of(*run, bit).for_each(|destination| record.set(destination));
        }
    }
    Ok(record)
}
