"""Encoding models of the brain from language models, scored honestly.

Rooms, from the floor up: ``core`` (nouns), then ``data``, ``text``, ``encoding``
and ``evaluation``, then ``brain``, then ``aligner`` and ``report``, then ``study``.
Nothing is imported here, so that importing one room costs only that room.
"""

__version__ = "0.1.0"
