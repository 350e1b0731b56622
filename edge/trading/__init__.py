"""The site's agents: pure functions from forecasts, prices and what was traded to orders and a schedule."""
