"""``python -m brainaligner``: the command line, also for ``torchrun -m brainaligner``."""

from brainaligner.study import main

if __name__ == "__main__":
    main()
