//! Where messages live: the ports, and the stores that keep their promises.
