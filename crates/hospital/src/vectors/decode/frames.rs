//! Frames of MLLP, and the acknowledgements in them.
use serde_json::{Value, json};

use super::{Input, KINDS, decode, failed, with};
use crate::{
    failure::{Class, Reason},
    hl7v2::{Message, acknowledgement},
    json::Json,
    mllp,
    vectors::{compare, read_file},
};

pub fn hl7_ack(bytes: &[u8], input: &Input<'_>) -> Value {
    let (control_id, tag) = (input.text("control_id"), input.text("query_tag"));
    let head = Message::read(bytes, input.settings.options).and_then(|message| {
        acknowledgement(&message, control_id.as_deref(), tag.as_deref(), Class::IdUnknown)
    });
    match head {
        Ok(head) => {
            let said = json!({"ack": head.code});
            match head.check() {
                Ok(()) => with(json!({"outcome": "acknowledged"}), said),
                Err(failure) => with(failed(&failure), said),
            }
        }
        Err(reason) => failed(&reason.into()),
    }
}

/// Frames of the bytes fed in pieces of `size`; what stopped the reading.
fn frames(bytes: &[u8], size: usize, limit: usize) -> (mllp::Decoder, Vec<Vec<u8>>, Option<Reason>) {
    let mut decoder = mllp::Decoder::new(limit);
    let mut frames = Vec::new();
    for piece in bytes.chunks(size.max(1)) {
        match decoder.push(piece) {
            Ok(complete) => frames.extend(complete),
            Err(reason) => return (decoder, frames, Some(reason)),
        }
    }
    let end = decoder.end().err();
    (decoder, frames, end)
}

pub fn mllp_frame(bytes: &[u8], input: &Input<'_>) -> Value {
    let limit = input.settings.frame_limit;
    let (decoder, whole, end) = frames(bytes, bytes.len(), limit);
    let (_, single, single_end) = frames(bytes, 1, limit);
    // A run in one piece loses the frames of the piece that fails; what counts is the end.
    let same = end == single_end && (end.is_some() || whole == single);
    let mut decoded = match end {
        Some(reason) => failed(&reason.into()),
        None => json!({"outcome": "found"}),
    };
    decoded["noise_bytes"] = json!(decoder.noise_before_first);
    decoded["frame_count"] = json!(single.len());
    decoded["restarts"] = json!(decoder.restarts);
    decoded["frames"] = Value::Array(vec![json!({}); single.len()]);
    if !same {
        decoded["outcome"] = json!("differs byte by byte");
        decoded["frame_count"] = json!(-1);
    }
    decoded
}

/// Compares what is in the frames: another file byte for byte, or the meaning of a message.
pub fn compare_frames(bytes: &[u8], input: &Input<'_>, expected: &[Json], places: &mut Vec<String>) {
    let (_, found, _) = frames(bytes, 1, input.settings.frame_limit);
    // Frames are compared here; the comparison before only counted them.
    places.retain(|place| !place.starts_with("/frames/"));
    for (at, expected) in expected.iter().enumerate() {
        let place = format!("/frames/{at}");
        let Some(payload) = found.get(at) else {
            places.push(place);
            continue;
        };
        if let Some(file) = expected.get("same_as").text() {
            if read_file(input.folder, file).as_ref() != Some(payload) {
                places.push(place);
            }
        } else {
            let kind = expected.get("kind").text().unwrap_or_default();
            if !KINDS.contains(&kind) || kind == "mllp-frame" {
                places.push(place);
                continue;
            }
            let inner = Input { context: expected.get("context"), ..*input };
            compare::compare(&place, expected.get("expect"), &decode(kind, payload, &inner), places);
        }
    }
}
