"""``python -m brainaligner`` is the command ``brainaligner``."""

from brainaligner.study import main

if __name__ == "__main__":
    main()
