"""Pure control decisions: envelope, arbitration, leases, dispatch, fallback."""
