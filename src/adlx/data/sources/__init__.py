"""Where time series come from: a file, Yahoo, the ECB, or a seeded simulation. Each loader returns a `Table`."""
