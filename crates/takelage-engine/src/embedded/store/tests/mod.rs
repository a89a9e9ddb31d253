//! Tests of the store as a whole.

mod crash;
mod damage;
mod docker;
pub(crate) mod fixture;
mod garbage;
mod images;
mod layers;
mod together;
