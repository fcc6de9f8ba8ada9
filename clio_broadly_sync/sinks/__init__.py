"""Where review requests go: one module for each destination, and `batches.py` for all of them."""
