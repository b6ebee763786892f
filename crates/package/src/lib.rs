//! Delivery Packages: sources, verification, building.
