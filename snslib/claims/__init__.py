"""The paper's claims, what decides each of them, and the paper's own numbers."""
