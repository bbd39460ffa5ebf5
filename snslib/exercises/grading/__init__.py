"""Grading hand-ins: what students define runs in processes of its own, and is judged in one that it cannot reach."""
