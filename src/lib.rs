//! threadctl
