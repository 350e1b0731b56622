"""Another version of the software beside the present one, tried, kept or taken back."""
