//! The engine over a simulated device.

mod behaviour;
mod crash;
mod golden;
mod lab;
mod random;
mod trouble;
