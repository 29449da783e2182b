//! What takes more than one statement: each function is one transaction, or one thing with an order.

pub(crate) mod builds;
pub(crate) mod deployments;
pub(crate) mod domains;
pub(crate) mod keys;
pub(crate) mod people;
pub(crate) mod purges;
pub(crate) mod pushes;
pub(crate) mod second_factor;
pub(crate) mod uploads;
pub(crate) mod variables;
