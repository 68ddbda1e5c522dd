"""What brainaligner costs, beside other libraries: ``python -m benchmarks``."""
