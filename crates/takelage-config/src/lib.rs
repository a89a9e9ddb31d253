//! takelage-config
