"""The page-level simulator: every page, every write, the policy asked as in reality."""
