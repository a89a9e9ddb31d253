"""Part of takelage."""
