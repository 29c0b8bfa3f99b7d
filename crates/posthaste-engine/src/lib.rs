//! Dispatch, deliver, recover, forget: the loops that drain the store.
