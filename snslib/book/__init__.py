"""What the chapters of the book call: text, tables, findings, figures and sliders."""
