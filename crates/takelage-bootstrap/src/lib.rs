//! takelage-bootstrap
