"""HTTP: one request, its limits, its failures. Knows neither Clio nor Broadly."""
