"""The program: `python -m clio_broadly_sync`, and the command that is installed."""

import gc

gc.disable()  # loading makes no garbage, and looking for it took a sixth of an idle run

from clio_broadly_sync.cli import main  # noqa: E402

if __name__ == "__main__":
    main()
