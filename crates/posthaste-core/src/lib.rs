//! The rules of Posthaste: values and decisions without I/O, clock or dice.
