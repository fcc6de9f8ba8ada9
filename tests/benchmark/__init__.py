"""The program beside others at the same job, and what a fleet costs."""

import tests.fleet  # noqa: F401  (it lets the modules of the other tests be found)
