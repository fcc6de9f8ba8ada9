"""The engine that runs many firms: Procrastinate, whose queue is in the same database."""
