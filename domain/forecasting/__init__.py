"""Pure forecasts: PV, load, price, scores."""
