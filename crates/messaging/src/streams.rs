//! JetStream streams and consumers: names, settings, provisioning.
