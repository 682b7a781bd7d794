"""What each product lets people set, where, in which unit, and what comes of it: one module a product."""
