"""The processes of a run: forked from one warmed-up parent, ended with it."""
