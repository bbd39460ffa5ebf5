"""Criteria: the rules by which claims are decided, and by which a chapter concludes something.

``neurons``, ``sensitivity`` and ``tables`` decide the paper's seventeen claims on published records, or raise
NotRunError; each criterion is stated in words where its claim is, in :mod:`snslib.claims.claims`. Those for Tables 1 to
4 take the paper's own numbers as well as ours. The other modules hold the rules of single chapters.
"""
