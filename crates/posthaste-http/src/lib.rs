//! The HTTP side: the API, probes and the inbound door.
