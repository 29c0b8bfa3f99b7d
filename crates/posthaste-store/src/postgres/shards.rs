//! Who writes counts into which rows. All who deliver count for the same environment: if they did so in one row, each
//! transaction would wait for the one before it to commit. So each open transaction has a shard of its own.

use std::sync::{Arc, Mutex, PoisonError};

/// Shards of a node: more than it has transactions open at once. Past that some share the last one, and wait.
const SHARDS_OF_A_NODE: i32 = 32;

/// Those of this node that are in use, a bit each.
#[derive(Default)]
pub(super) struct Shards(Mutex<u32>);

/// One that nobody else has as long as this is held.
pub(super) struct Shard {
    shards: Arc<Shards>,
    number: i32,
}

impl Shards {
    /// The first that is free, so that few are ever used.
    pub(super) fn take(self: &Arc<Self>) -> Shard {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let free = i32::try_from(used.trailing_ones()).unwrap_or(SHARDS_OF_A_NODE);
        let number = free.min(SHARDS_OF_A_NODE - 1);
        *used |= 1 << number;
        Shard { shards: Arc::clone(self), number }
    }
}

impl Shard {
    /// What it is called among those of all nodes.
    pub(super) fn of_node(&self, node: i32) -> i32 {
        node * SHARDS_OF_A_NODE + self.number
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        *self.shards.0.lock().unwrap_or_else(PoisonError::into_inner) &= !(1 << self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_its_holders_alone_and_the_first_that_is_free() {
        let shards = Arc::new(Shards::default());
        let held = [shards.take(), shards.take()];
        assert_eq!(held.each_ref().map(|shard| shard.of_node(3)), [96, 97]);
        drop(held);
        let held: Vec<_> = (0..40).map(|_| shards.take()).collect();
        let numbers: Vec<_> = held.iter().map(|shard| shard.of_node(0)).collect();
        assert_eq!(numbers[..32], (0..32).collect::<Vec<_>>());
        assert_eq!(numbers[32..], [31; 8], "the last is shared");
        drop(held);
        assert_eq!(shards.take().of_node(32_767), 32_767 * 32, "the last node's has a number too");
    }
}
