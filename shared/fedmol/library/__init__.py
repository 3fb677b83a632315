"""What `import fedmol` offers, and what the commands `fedmol train`, `sample` and `evaluate` call."""
