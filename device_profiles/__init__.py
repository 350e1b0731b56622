"""Register maps as data: one YAML file per model, each naming its sources."""
