"""What the chapters of the book call: their first cell, tables, findings, figures and sliders."""
