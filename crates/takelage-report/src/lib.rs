//! takelage-report
