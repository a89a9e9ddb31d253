//! takelage-run
