//! Data of Binaries that are shown among other resources: in searches, histories, bundles and frames.
use base64::{Engine, engine::general_purpose::STANDARD};
use deadpool_postgres::GenericClient;
use fhir::{Format, summary::mark_subsetted};

use crate::store::{DataRef, Session};

/// Most bytes of data that lie outside of their resources and go into one answer. A Binary beyond it comes
/// without its data, tagged `SUBSETTED`; read by itself it is whole, whatever its size.
pub const MAX_EMBEDDED: u64 = 4 * 1024 * 1024;

/// What is left of [`MAX_EMBEDDED`] for one answer.
#[derive(Debug)]
pub(crate) struct Embedding {
    left: u64,
}

impl Default for Embedding {
    fn default() -> Self {
        Self { left: MAX_EMBEDDED }
    }
}

impl Embedding {
    /// Puts data into the compact JSON of their Binary.
    pub(crate) async fn fill<C: GenericClient>(
        &mut self,
        session: &Session<C>,
        content: &mut Vec<u8>,
        data: Option<DataRef>,
    ) -> Result<(), database::Error> {
        let Some(data) = data else { return Ok(()) };
        let end = content.len();
        if data.size <= self.left && content.pop() == Some(b'}') {
            content.extend_from_slice(br#","data":""#);
            if append(session, content, data).await? {
                self.left -= data.size;
                content.extend_from_slice(br#""}"#);
                return Ok(());
            }
            // Removed meanwhile.
            content.truncate(end - 1);
            content.push(b'}');
        }
        if let Ok(mut without) = fhir::parse(content, Format::Json) {
            mark_subsetted(&mut without);
            *content = fhir::to_json(&without);
        }
        Ok(())
    }
}

/// Whether all pieces were there.
async fn append<C: GenericClient>(
    session: &Session<C>,
    content: &mut Vec<u8>,
    data: DataRef,
) -> Result<bool, database::Error> {
    let (mut position, mut size) = (0, 0);
    while size < data.size {
        let Some(piece) = session.chunk(data.id, position).await?.filter(|piece| !piece.is_empty()) else {
            return Ok(false);
        };
        // Pieces begin at multiples of three bytes, so their base64 forms join.
        content.extend_from_slice(STANDARD.encode(&piece).as_bytes());
        size += piece.len() as u64;
        position += 1;
    }
    Ok(true)
}
