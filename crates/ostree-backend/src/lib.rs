//! The OS component backend on libostree.
