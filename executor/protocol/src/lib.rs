//! What goes over the wire between operator and executor. No I/O.
