"""What is published in advance about a zone beside its price: load, and wind and sun."""
