"""The paper's claims, the criteria that decide them, numbers from records, and the paper's own tables."""
