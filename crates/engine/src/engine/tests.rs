//! The engine over a simulated device.

mod behaviour;
mod crash;
mod lab;
mod random;
mod trouble;
