//! The tunnel: requests that are owed to a listener go down a connection that the listener opened, and its answers come
//! back up.
//!
//! Both sides of the connection know the [frames](frame). No socket is here: whoever holds one feeds it.

pub mod frame;
pub mod listeners;
pub mod session;
