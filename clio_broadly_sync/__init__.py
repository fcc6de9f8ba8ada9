"""Hand the clients of closed Clio matters to Broadly, once, and only those who may be asked."""

__version__ = "0.1.0"
