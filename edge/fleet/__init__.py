"""Provisioning, certificates, remote configuration, updates."""
