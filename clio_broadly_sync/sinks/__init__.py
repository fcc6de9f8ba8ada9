"""Where review requests go: one module for each destination."""
