"""Tests: unit mirrors the source, integration meets real parts, scenarios run whole sites."""
