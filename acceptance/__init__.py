"""The long counts behind the claims in LOG.md; run with ``make acceptance``."""
