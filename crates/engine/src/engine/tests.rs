//! The engine over a simulated device.
