//! The command line of Paravox.

fn main() {}
