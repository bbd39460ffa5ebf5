"""The study: settings, the trained networks of a setting, what is measured on them, and the recorded rows."""
