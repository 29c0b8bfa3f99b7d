//! Posthaste, the binary.

fn main() {}
