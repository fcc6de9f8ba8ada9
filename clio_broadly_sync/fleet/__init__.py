"""Many firms: the engine that runs them, and what is done now and then for all."""
