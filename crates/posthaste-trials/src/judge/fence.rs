//! Who has lost a lease changes nothing any more (I11).

use super::view::View;
use super::{Findings, Invariant, found};

pub(super) fn nobody_writes_without_a_lease(view: &View<'_>, findings: &mut Findings) {
    for change in &view.ledgers.store.forbidden {
        let (from, to) = (change.from, change.to);
        let saw = format!("the delivery to {} was {from:?} and somebody made it {to:?}", change.endpoint);
        found(findings, Invariant::I11, &change.message, saw);
    }
}
