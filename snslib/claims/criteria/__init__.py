"""What decides the paper's claims: each function does one of them on published records, or raises NotRunError.

What it decides by is stated in words where the claim is, in :mod:`snslib.claims.claims`. The criteria for Tables 1 to 4
take the paper's own numbers as well as ours.
"""
