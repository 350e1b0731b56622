"""Any profile played over a simulated plant, to try plumbing: it reads the gateway's own map, so it is no witness."""
