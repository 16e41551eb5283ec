//! Every operation, with its CPU kernel and as a composition, against its definition in f64.

mod elementwise;
mod harness;
mod images;
mod reference;
mod sequences;
