"""Unit tests of cloud.grid."""
