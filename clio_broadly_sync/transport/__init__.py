"""HTTP: one request, its limits and its failures. No API of Clio or of Broadly is known here."""
