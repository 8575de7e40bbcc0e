//! The first bytes of a connection.
use fhir_gateway::listener::proxy_protocol;

/// Longest PROXY header that may be taken: fixed part and addresses with extensions.
const LONGEST: usize = 16 + 2048;

/// A PROXY header, version 1 or 2.
pub fn proxy(data: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut stream = data;
    let _ = runtime.block_on(proxy_protocol::read(&mut stream));
    assert!(data.len() - stream.len() <= LONGEST, "no byte behind the header is taken");
}
