"""How a scenario is declared, checked and written: each field once, files, given parts, documentation."""
