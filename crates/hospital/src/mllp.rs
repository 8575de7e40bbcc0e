//! The MLLP frame: 0x0B, payload, 0x1C 0x0D (contract 1.6).
use crate::failure::Reason;

/// Default of the largest payload, in bytes.
pub const FRAME_LIMIT: usize = 1024 * 1024;
/// Most bytes before a frame starts.
pub const NOISE_LIMIT: usize = 4096;

const START: u8 = 0x0b;
const END: u8 = 0x1c;
const RETURN: u8 = 0x0d;

/// Puts a payload into a frame.
pub fn frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload.len() + 3);
    frame.push(START);
    frame.extend_from_slice(payload);
    frame.extend_from_slice(&[END, RETURN]);
    frame
}

/// Takes frames out of bytes that arrive in pieces of any size.
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    payload: Option<Vec<u8>>,
    ending: bool,
    noise: usize,
    /// Bytes before the first frame.
    pub noise_before_first: usize,
    /// Frames that started inside another one.
    pub restarts: usize,
    seen: usize,
}

impl Decoder {
    /// A decoder that takes payloads of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, payload: None, ending: false, noise: 0, noise_before_first: 0, restarts: 0, seen: 0 }
    }

    /// Takes one byte; a payload when it ends a frame.
    fn byte(&mut self, byte: u8) -> Result<Option<Vec<u8>>, Reason> {
        let Some(payload) = &mut self.payload else {
            if byte == START {
                self.payload = Some(Vec::new());
                self.noise = 0;
            } else {
                self.noise += 1;
                if self.seen == 0 {
                    self.noise_before_first += 1;
                }
                if self.noise > NOISE_LIMIT {
                    return Err(Reason::Noise);
                }
            }
            return Ok(None);
        };
        if std::mem::take(&mut self.ending) {
            if byte == RETURN {
                self.seen += 1;
                return Ok(self.payload.take());
            }
            payload.push(END);
        }
        match byte {
            END => self.ending = true,
            START => {
                payload.clear();
                self.restarts += 1;
            }
            other => payload.push(other),
        }
        // Checked as it grows: a frame without end must not fill the memory.
        if payload.len() > self.limit { Err(Reason::FrameTooLarge) } else { Ok(None) }
    }

    /// Takes bytes; the payloads of the frames that they complete.
    ///
    /// # Errors
    /// [`Reason::FrameTooLarge`] or [`Reason::Noise`]; the decoder is not used again.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, Reason> {
        let mut frames = Vec::new();
        for byte in bytes {
            frames.extend(self.byte(*byte)?);
        }
        Ok(frames)
    }

    /// The connection has ended.
    ///
    /// # Errors
    /// [`Reason::FrameTruncated`] inside a frame.
    pub fn end(&self) -> Result<(), Reason> {
        if self.payload.is_some() { Err(Reason::FrameTruncated) } else { Ok(()) }
    }
}
