"""What commands write for people to read later: whole pages, and the tables that stand on them."""
