//! The org.scomo1 D-Bus interfaces: types and client proxies.
