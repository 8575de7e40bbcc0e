//! Connecting to NATS: options, request-reply with JSON, trace context in headers.
