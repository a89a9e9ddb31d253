//! takelage-python
