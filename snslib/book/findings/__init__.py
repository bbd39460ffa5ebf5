"""What a chapter found, in words, each a function of records or numbers."""

__all__: list[str] = []
